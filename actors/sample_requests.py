"""The requests for tokens that a sample takes, and what their outputs mean.

    think    prompt                                    up to the largest budget, </think> or the end
    answer   prompt + trace[:budget] + forced closing  at each budget that the trace filled
    answer   prompt + trace                            if the trace closed its thinking itself
    answer   prompt + trace + forced closing           if the end of the text closes the thinking

An early end of thinking is replaced by an extension, if there is one, and the rest of the budget is
requested. Where a text closes the thinking, the server stops at it, but its tokens decide (`ThinkClose`).
The answers' prompts are in the prefix cache as far as whole blocks go. The longest is requested first: it
holds all blocks of the trace until the shorter ones have found theirs.

vLLM in the actor's process and a server of its own are both asked so.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from actors.engine import BudgetAnswer, Trace
from actors.repetition import loop_end
from actors.tokenization import Vocabulary
from actors.trace_assembly import NO_BUDGET, Sample, no_answer
from raysweep.shard import sample_key

# The purposes of a request besides a budget's answer: the thoughts, and the answers after the trace closed
# its thinking itself, after a loop was ended, and after the end of the text.
THINK, NATURAL, LOOP, END = "think", "natural", "loop", "end"

# What a continued trace says of itself (`Trace.reproducible`).
RESUMED = "resumed"

# Seconds after which a request is given up, and more for each of its tokens: far more than one needs that
# makes progress.
DEADLINE_S, DEADLINE_S_PER_TOKEN = 300.0, 2.0

LiveBytes = Callable[[int], int]  # bytes of the KV cache of a sequence with so many tokens


@dataclass(frozen=True)
class Request:
    """One request. `purpose` is THINK, NATURAL, LOOP, END or the token budget that it answers at.

    stop       tokens to stop at
    stop_text  a text to stop at; "": none
    """

    purpose: str | int
    prompt: tuple[int, ...]
    max_tokens: int
    stop: frozenset[int]
    seed: int
    stop_text: str = ""


def deadline_s(request: Request) -> float:
    """Seconds within which a request should be answered."""
    return DEADLINE_S + DEADLINE_S_PER_TOKEN * request.max_tokens


@dataclass(eq=False)
class SampleRequests:
    """A sample, and the requests that it takes.

    prompt    tokens of the sample's own prompt, with thinking opened
    thinking  tokens between the markers, once thinking has ended
    parts     requests for thoughts that have been answered
    extended  after how many thoughts an extension took the place of an end
    begun     thoughts of the trace that is continued; 0 for one that begins anew
    """

    sample: Sample
    prompt: tuple[int, ...]
    live_bytes: LiveBytes
    thinking: int = 0
    parts: int = 0
    extended: list[int] = field(default_factory=list)
    begun: int = 0

    @property
    def vocabulary(self) -> Vocabulary:
        return self.sample.vocabulary

    def first(self) -> Request:
        """The request for the trace, or for what follows the tokens that it has."""
        close, tokens = self.vocabulary.close, self.sample.tokens
        most = self.sample.budgets[-1] - len(tokens)
        stop = self.vocabulary.end | close.stop_tokens
        request = self._request(THINK, tuple(tokens), most, stop, self.parts)
        return replace(request, stop_text=close.stop_text)

    def go_on(self, begun: Trace) -> None:
        """Continue a trace that was cut at its largest budget: its thoughts and its answers stay.

        One that may have been cut within an extension begins anew, since the rest would have to follow.
        """
        if self._ends_in_extension(begun.token_ids):
            return
        sample, self.begun = self.sample, len(begun.token_ids)
        sample.tokens, sample.waits = list(begun.token_ids), begun.waits
        sample.at_budgets = {answer.token_budget: answer for answer in begun.answers}
        sample.reused_tokens, sample.recomputed_tokens = (
            begun.reused_tokens,
            begun.recomputed_tokens,
        )
        sample.reproducible = RESUMED

    def _ends_in_extension(self, tokens: tuple[int, ...]) -> bool:
        extension = tuple(self.vocabulary.extension)
        return any(tokens[-n:] == extension[:n] for n in range(1, len(extension)))

    def take(self, request: Request, tokens: list[int], cached: int | None) -> list[Request]:
        """Take in the output of a request, and how much of its prompt was cached; the requests that follow.

        cached  in tokens; None if that is unknown, which counts neither as reused nor as computed again

        The sample's `done` is called with the trace once nothing more is wanted.
        """
        if request.purpose == THINK:
            return self._thought(tokens)
        if cached is not None:
            self._note_cache(request, cached)
        self._answered(request, self._answer(request, tokens))
        return []

    def give_up(self, request: Request) -> None:
        """A request took too long: note that, for its answer or for the whole trace."""
        if request.purpose == THINK:
            self.sample.end_thinking("deadline", 0)
        nothing = no_answer(self._thinking_of(request), self._live_bytes(request), given_up=True)
        forced = request.purpose not in (THINK, NATURAL)
        self._answered(request, replace(nothing, forced=forced))

    def _answered(self, request: Request, answer: BudgetAnswer) -> None:
        budget = NO_BUDGET if isinstance(request.purpose, str) else request.purpose
        self.sample.answered(budget, answer)

    def _thought(self, tokens: list[int]) -> list[Request]:
        """Go on if the thoughts ended too early, else request the answers, the longest first."""
        closed = self._take_thoughts(tokens)
        ended = not closed and self.sample.tokens[-1] in self.vocabulary.end
        if (closed or ended) and self.vocabulary.extension:
            self._extend()
            closed = ended = False
        if not (closed or ended) and len(self.sample.tokens) < self.sample.budgets[-1]:
            return [self.first()]
        return self._answers(closed, ended)

    def _take_thoughts(self, tokens: list[int]) -> bool:
        """Take in thoughts up to the end of a closing; whether there is one."""
        thoughts, before = self.sample.tokens, len(self.sample.tokens)
        thoughts += tokens
        self.parts += 1
        end = self.vocabulary.close.first_end(thoughts, before)
        del thoughts[end or len(thoughts) :]
        return end is not None

    def _answers(self, closed: bool, ended: bool) -> list[Request]:
        """The requests for all answers, once thinking has ended: by its closing, its end or the budget."""
        sample, filled = self.sample, len(self.sample.tokens) - (closed or ended)
        self.thinking, requests = filled, []
        if loop := self._loop_end():
            del sample.tokens[loop:]
            sample.waits -= sum(place >= loop for place in self.extended)
            self.thinking = filled = loop
            sample.end_thinking("loop", loop)
            requests = [self._forced(loop, LOOP)]
        elif closed:
            self.thinking = len(sample.tokens) - self.vocabulary.close.length(sample.tokens)
            sample.end_thinking("stop", filled)
            requests = [self._natural()]
        elif ended:
            requests = self._after_the_end()
        full = [budget for budget in reversed(sample.budgets) if budget <= filled]
        known = sample.at_budgets
        return requests + [self._forced(budget) for budget in full if budget not in known]

    def _after_the_end(self) -> list[Request]:
        """The text ended during thinking: the request for its answer, if the end closes thinking."""
        sample, decoding = self.sample, self.sample.request.decoding
        sample.end_thinking("end", self.thinking)
        if decoding.end_closes and not decoding.text_is_answer:
            return [self._forced(self.thinking, END)]
        kv_bytes = self.live_bytes(len(self.prompt) + self.thinking)
        sample.answered(NO_BUDGET, sample.answer_of_ended_text(kv_bytes))
        return []

    def _extend(self) -> None:
        """Put the extension in place of the end, as far as the budget goes."""
        sample = self.sample
        self.extended.append(len(sample.tokens) - 1)
        extended = sample.tokens[:-1] + list(self.vocabulary.extension)
        sample.tokens = extended[: sample.budgets[-1]]
        sample.waits += 1

    def _loop_end(self) -> int | None:
        """Where the torch engine would have ended the thinking as a loop, if loops are to be ended."""
        decoding = self.sample.request.decoding
        found = loop_end(self.sample.tokens[: self.thinking], decoding.loop_tokens)
        return found if decoding.end_loops and found != self.sample.budgets[-1] else None

    def _natural(self) -> Request:
        """An answer that the model opened itself may spend the opener's tokens too."""
        most = self.sample.request.decoding.answer_tokens + len(self.vocabulary.opener)
        return self._request(NATURAL, tuple(self.sample.tokens), most, self.vocabulary.end)

    def _forced(self, thinking: int, purpose: str | int | None = None) -> Request:
        prefix = tuple(self.sample.tokens[:thinking]) + self.vocabulary.forced_closing
        most = self.sample.request.decoding.answer_tokens
        return self._request(purpose or thinking, prefix, most, self.vocabulary.end)

    def _request(
        self,
        purpose: str | int,
        prefix: tuple[int, ...],
        most: int,
        stop: frozenset[int],
        part: int = 0,
    ) -> Request:
        """A request to continue prompt and `prefix`.

        Each has a seed of its own: an answer must not be drawn with the same numbers as the thoughts, nor
        thoughts that continue a trace with those of its beginning.
        """
        resumed = f" from {self.begun}" if purpose == THINK and self.begun else ""
        seed = sample_key(self.sample.request.key, f"{purpose}{resumed}", part)
        return Request(purpose, self.prompt + prefix, most, stop, seed)

    def _note_cache(self, request: Request, cached: int) -> None:
        natural = request.purpose == NATURAL
        thoughts = len(self.sample.tokens) if natural else self._thinking_of(request)
        reused = min(max(0, cached - len(self.prompt)), thoughts)
        self.sample.reused_tokens += reused
        self.sample.recomputed_tokens += thoughts - reused

    def _thinking_of(self, request: Request) -> int:
        return self.thinking if isinstance(request.purpose, str) else request.purpose

    def _live_bytes(self, request: Request) -> int:
        """Live bytes when the thinking before this answer ended; a closing's last token is not yet there."""
        filled = self.sample.filled if request.purpose == NATURAL else None
        return self.live_bytes(len(self.prompt) + (filled or self._thinking_of(request)))

    def _answer(self, request: Request, tokens: list[int]) -> BudgetAnswer:
        ended, natural = tokens[-1] in self.vocabulary.end, request.purpose == NATURAL
        closing = self.vocabulary.forced_closing
        if natural:
            closing = tuple(self.sample.tokens[self.thinking :])
            self.sample.tokens += tokens
        return BudgetAnswer(
            token_budget=NO_BUDGET,
            thinking_tokens=self._thinking_of(request),
            forced=not natural,
            text=self.vocabulary.text_after(closing, tokens[:-1] if ended else tokens),
            ended=ended,
            answer_tokens=len(tokens),
            kv_bytes=self._live_bytes(request),
        )

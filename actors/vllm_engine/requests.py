"""The requests to vLLM that a sample takes, and what their outputs mean. No vLLM is imported here.

    think    prompt                                    up to the largest budget, </think> or the end
    answer   prompt + trace[:budget] + forced closing  at each budget that the trace filled
    answer   prompt + trace                            if the trace closed its thinking itself

An early end of thinking is replaced by an extension, if there is one, and the rest of the budget is
requested. The answers' prompts are in the prefix cache as far as whole blocks go. The longest is requested
first: it holds all blocks of the trace until the shorter ones have found theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from actors.engine import BudgetAnswer
from actors.repetition import loop_end
from actors.tokenization import Vocabulary
from actors.trace_assembly import NO_BUDGET, Sample, no_answer
from raysweep.shard import sample_key

# The purposes of a request besides a budget's answer: the thoughts, the answer after the trace closed its
# thinking itself, and the answer after a loop was ended.
THINK, NATURAL, LOOP = "think", "natural", "loop"

LiveBytes = Callable[[int], int]  # bytes of the KV cache of a sequence with so many tokens


@dataclass(frozen=True)
class Request:
    """One request. `purpose` is THINK, NATURAL, LOOP or the token budget that it answers at."""

    purpose: str | int
    prompt: tuple[int, ...]
    max_tokens: int
    stop: frozenset[int]
    seed: int


@dataclass(eq=False)
class SampleRequests:
    """A sample, and the requests that it takes.

    prompt    tokens of the sample's own prompt, with thinking opened
    thinking  tokens between the markers, once thinking has ended
    """

    sample: Sample
    prompt: tuple[int, ...]
    live_bytes: LiveBytes
    thinking: int = 0

    @property
    def vocabulary(self) -> Vocabulary:
        return self.sample.vocabulary

    def first(self) -> Request:
        """The request for the trace, or for what follows an extension of it."""
        stop = self.vocabulary.end | {self.vocabulary.think_close}
        tokens = self.sample.tokens
        most = self.sample.budgets[-1] - len(tokens)
        return self._request(THINK, tuple(tokens), most, stop, self.sample.waits)

    def take(self, request: Request, tokens: list[int], cached: int) -> list[Request]:
        """Take in the output of a request, and how much of its prompt was cached; the requests that follow.

        The sample's `done` is called with the trace once nothing more is wanted.
        """
        if request.purpose == THINK:
            return self._thought(tokens)
        self._note_cache(request, cached)
        self._answered(request, self._answer(request, tokens))
        return []

    def give_up(self, request: Request) -> None:
        """A request took too long: note that, for its answer or for the whole trace."""
        thinking = self._thinking_of(request)
        nothing = no_answer(thinking, self._live_bytes(thinking), given_up=True)
        forced = request.purpose not in (THINK, NATURAL)
        self._answered(request, replace(nothing, forced=forced))

    def _answered(self, request: Request, answer: BudgetAnswer) -> None:
        budget = NO_BUDGET if isinstance(request.purpose, str) else request.purpose
        self.sample.answered(budget, answer)

    def _thought(self, tokens: list[int]) -> list[Request]:
        """Go on if the thoughts ended too early, else request the answers, the longest first."""
        sample = self.sample
        sample.tokens += tokens
        closed = sample.tokens[-1] == self.vocabulary.think_close
        ended = sample.tokens[-1] in self.vocabulary.end
        if (closed or ended) and self.vocabulary.extension:
            self._extend()
            if len(sample.tokens) < sample.budgets[-1]:
                return [self.first()]
            closed = ended = False
        self.thinking = len(sample.tokens) - (closed or ended)
        requests = [self._natural()] if closed else []
        if loop := self._loop_end():
            del sample.tokens[loop:]
            self.thinking = loop
            requests = [self._forced(loop, LOOP)]
        elif ended:
            nothing = no_answer(self.thinking, self._live_bytes(self.thinking))
            sample.answered(NO_BUDGET, nothing)
        filled = [budget for budget in reversed(sample.budgets) if budget <= self.thinking]
        return requests + [self._forced(budget) for budget in filled]

    def _extend(self) -> None:
        """Put the extension in place of the end, as far as the budget goes."""
        sample = self.sample
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

        Each has a seed of its own: an answer must not be drawn with the same numbers as the thoughts.
        """
        seed = sample_key(self.sample.request.key, str(purpose), part)
        return Request(purpose, self.prompt + prefix, most, stop, seed)

    def _note_cache(self, request: Request, cached: int) -> None:
        natural = request.purpose == NATURAL
        thoughts = len(self.sample.tokens) if natural else self._thinking_of(request)
        reused = min(max(0, cached - len(self.prompt)), thoughts)
        self.sample.reused_tokens += reused
        self.sample.recomputed_tokens += thoughts - reused

    def _thinking_of(self, request: Request) -> int:
        return self.thinking if isinstance(request.purpose, str) else request.purpose

    def _live_bytes(self, thinking: int) -> int:
        return self.live_bytes(len(self.prompt) + thinking)

    def _answer(self, request: Request, tokens: list[int]) -> BudgetAnswer:
        ended = tokens[-1] in self.vocabulary.end
        forced, thinking = request.purpose != NATURAL, self._thinking_of(request)
        if not forced:
            self.sample.tokens += tokens
        opener = list(self.vocabulary.opener) if forced else []
        return BudgetAnswer(
            token_budget=NO_BUDGET,
            thinking_tokens=thinking,
            forced=forced,
            text=self.vocabulary.decode(opener + (tokens[:-1] if ended else tokens)),
            ended=ended,
            answer_tokens=len(tokens),
            kv_bytes=self._live_bytes(thinking),
        )

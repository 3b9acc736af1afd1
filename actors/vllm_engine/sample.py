"""What a sample asks of vLLM, request by request, and the trace that comes of it. No vLLM in here.

    think    prompt                                    up to the largest budget, </think> or the end
    answer   prompt + trace[:budget] + forced closing  at each budget that the trace filled
    answer   prompt + trace                            if the trace closed its thinking itself

An early end of thinking is dropped, an extension put in its place, and the rest of the budget asked for.

The answers' prompts lie in the prefix cache as far as whole blocks go. The longest is asked for first:
it holds all blocks of the trace, until the shorter ones have found theirs.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from actors.engine import BudgetAnswer, Trace, TraceRequest
from actors.repetition import is_loop, loop_end
from actors.tokenization import Vocabulary
from raysweep.shard import sample_key

# What else a request may be for, besides a budget's answer.
THINK, NATURAL, LOOP = "think", "natural", "loop"

LiveBytes = Callable[[int], int]  # bytes of the KV cache of a sequence with so many tokens


@dataclass(frozen=True)
class Request:
    """One request. `purpose` is THINK, NATURAL or the token budget that it answers at."""

    purpose: str | int
    prompt: tuple[int, ...]
    max_tokens: int
    stop: frozenset[int]
    seed: int


@dataclass(eq=False)
class Sample:
    """One requested trace and what has been found of it so far.

    tokens    the trace's own, thinking first, then its own answer
    thinking  tokens between the markers
    wanted    purposes of the answers that it takes to be whole; None while it thinks
    """

    request: TraceRequest
    vocabulary: Vocabulary
    prompt: tuple[int, ...]
    live_bytes: LiveBytes
    reproducible: str
    done: Callable[[Trace], None]
    tokens: list[int] = field(default_factory=list)
    thinking: int = 0
    waits: int = 0
    wanted: frozenset[str | int] | None = None
    answers: dict[str | int, BudgetAnswer] = field(default_factory=dict)
    given_up: bool = False
    reused_tokens: int = 0
    recomputed_tokens: int = 0
    started_s: float = field(default_factory=time.perf_counter)

    @property
    def budgets(self) -> tuple[int, ...]:
        return self.request.decoding.token_budgets

    def first(self) -> Request:
        """The request for the trace, or for what follows an extension of it."""
        stop = self.vocabulary.end | {self.vocabulary.think_close}
        prompt, most = self.prompt + tuple(self.tokens), self.budgets[-1] - len(self.tokens)
        return self._job(THINK, prompt, most, stop, self.waits)

    def take(self, job: Request, tokens: list[int], cached: int) -> list[Request]:
        """Take in what a request gave, and how much of its prompt was cached; the requests that follow.

        `done` is called with the trace once nothing is wanted any more.
        """
        following = []
        if job.purpose == THINK:
            following = self._thought(tokens)
        else:
            self._note_cache(job, cached)
            self.answers[job.purpose] = self._answer(job, tokens)
        self._finish_if_whole()
        return following

    def give_up(self, job: Request) -> None:
        """A request took too long: note that, for its answer or for the whole trace."""
        if job.purpose == THINK:
            self.given_up, self.wanted = True, frozenset()
        else:
            nothing = self._nothing(self._thinking_of(job), ended=False)
            forced = job.purpose != NATURAL
            self.answers[job.purpose] = replace(nothing, forced=forced, given_up=True)
        self._finish_if_whole()

    def _thought(self, tokens: list[int]) -> list[Request]:
        """Thoughts are there: go on if they ended too early, else ask for the answers, the longest first."""
        self.tokens += tokens
        closed = self.tokens[-1] == self.vocabulary.think_close
        ended = self.tokens[-1] in self.vocabulary.end
        if (closed or ended) and self.vocabulary.extension:
            self._extend()
            if len(self.tokens) < self.budgets[-1]:
                return [self.first()]
            closed = ended = False
        self.thinking = len(self.tokens) - (closed or ended)
        jobs = [self._natural()] if closed else []
        if loop := self._loop_end():
            self.tokens, self.thinking = self.tokens[:loop], loop
            jobs = [self._forced(loop, LOOP)]
        filled = [budget for budget in reversed(self.budgets) if budget <= self.thinking]
        jobs += [self._forced(budget) for budget in filled]
        self.wanted = frozenset(job.purpose for job in jobs)
        return jobs

    def _extend(self) -> None:
        """Say something instead of the end, as far as the budget goes."""
        self.tokens = (self.tokens[:-1] + list(self.vocabulary.extension))[: self.budgets[-1]]
        self.waits += 1

    def _loop_end(self) -> int | None:
        """Where the torch engine would have ended the thinking as a loop, if it is to be ended."""
        decoding = self.request.decoding
        found = loop_end(self.tokens[: self.thinking], decoding.loop_tokens)
        return found if decoding.end_loops and found != self.budgets[-1] else None

    def _natural(self) -> Request:
        """An answer opened by the model itself may spend the opener's tokens too."""
        most = self.request.decoding.answer_tokens + len(self.vocabulary.opener)
        prompt = self.prompt + tuple(self.tokens)
        return self._job(NATURAL, prompt, most, self.vocabulary.end)

    def _forced(self, thinking: int, purpose: str | int | None = None) -> Request:
        prompt = self.prompt + tuple(self.tokens[:thinking]) + self.vocabulary.forced_closing
        most = self.request.decoding.answer_tokens
        return self._job(purpose or thinking, prompt, most, self.vocabulary.end)

    def _job(
        self,
        purpose: str | int,
        prompt: tuple[int, ...],
        most: int,
        stop: frozenset[int],
        part: int = 0,
    ) -> Request:
        """Each request has a seed of its own, or an answer would be drawn with the thoughts' numbers."""
        return Request(
            purpose, prompt, most, stop, sample_key(self.request.key, str(purpose), part)
        )

    def _note_cache(self, job: Request, cached: int) -> None:
        thoughts = len(self.tokens) if job.purpose == NATURAL else self._thinking_of(job)
        reused = min(max(0, cached - len(self.prompt)), thoughts)
        self.reused_tokens += reused
        self.recomputed_tokens += thoughts - reused

    def _thinking_of(self, job: Request) -> int:
        return self.thinking if isinstance(job.purpose, str) else job.purpose

    def _answer(self, job: Request, tokens: list[int]) -> BudgetAnswer:
        ended = tokens[-1] in self.vocabulary.end
        answer = tokens[:-1] if ended else tokens
        forced = job.purpose != NATURAL
        if not forced:
            self.tokens += tokens
        opener = list(self.vocabulary.opener) if forced else []
        return replace(
            self._nothing(self._thinking_of(job), ended),
            forced=forced,
            text=self.vocabulary.decode(opener + list(answer)),
            answer_tokens=len(tokens),
        )

    def _nothing(self, thinking: int, ended: bool) -> BudgetAnswer:
        """No answer after so much thinking."""
        live_bytes = self.live_bytes(len(self.prompt) + thinking)
        return BudgetAnswer(0, thinking, False, "", ended, 0, live_bytes)

    def _finish_if_whole(self) -> None:
        if self.wanted is not None and self.wanted <= self.answers.keys():
            self.done(self._trace())

    def _trace(self) -> Trace:
        return Trace(
            prompt_tokens=len(self.prompt),
            token_ids=tuple(self.tokens),
            finish=self._finish(),
            answers=tuple(self._answer_at(budget) for budget in self.budgets),
            wall_s=time.perf_counter() - self.started_s,
            reused_tokens=self.reused_tokens,
            recomputed_tokens=self.recomputed_tokens,
            reproducible=self.reproducible,
            waits=self.waits,
        )

    def _answer_at(self, budget: int) -> BudgetAnswer:
        """A filled budget's own answer; else the trace's, or none if it ended before it gave one."""
        nothing = replace(self._nothing(self.thinking, not self.given_up), given_up=self.given_up)
        purposes = (budget, NATURAL, LOOP)
        found = next((self.answers[p] for p in purposes if p in self.answers), nothing)
        return replace(found, token_budget=budget)

    def _finish(self) -> str:
        if self.given_up:
            return "deadline"
        if self.thinking == self.budgets[-1] or LOOP in self.answers:
            thoughts = self.tokens[: self.thinking]
            return "loop" if is_loop(thoughts, self.request.decoding.loop_tokens) else "budget"
        return "stop" if self.vocabulary.think_close in self.tokens else "end"

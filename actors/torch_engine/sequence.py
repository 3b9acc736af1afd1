"""What runs in a row of the batch: a trace that thinks, and at each token budget a fork that answers.

No tensors here: these objects decide which token is fed next and what a sampled token means. A trace
thinks until it closes its thinking itself or the largest budget closes it. At each smaller budget it
waits while its own row is fed the forced closing and the answer to it, and then goes on with the thought
that it would have had: forks need no rows of their own.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from actors.engine import BudgetAnswer, Trace, TraceRequest
from actors.repetition import CHECK_TOKENS, is_loop
from actors.tokenization import Vocabulary

LiveBytes = Callable[[], int]  # bytes that a row's KV cache holds now


@dataclass(frozen=True)
class Answer:
    """An answer as decoded; `tokens` follow the closing marker, forced ones not counted."""

    thinking_tokens: int
    forced: bool
    text: str
    ended: bool
    tokens: int
    kv_bytes: int


@dataclass(eq=False)
class Sample:
    """One requested trace and what its sequences have found so far."""

    request: TraceRequest
    vocabulary: Vocabulary
    prompt_tokens: int
    done: Callable[[Trace], None]
    tokens: list[int] = field(default_factory=list)
    waits: int = 0
    answers: dict[int, Answer] = field(default_factory=dict)
    natural: Answer | None = None
    started_s: float = field(default_factory=time.perf_counter)

    @cached_property
    def budgets(self) -> tuple[int, ...]:
        return self.request.decoding.token_budgets

    def answered(self, budget: int | None, answer: Answer) -> None:
        """Note an answer (budget None: the trace ended before its last budget); report when all are in."""
        if budget is None:
            self.natural = answer
        else:
            self.answers[budget] = answer
        if self.natural is None:
            whole = len(self.answers) == len(self.budgets)
        else:
            forks = sum(budget <= self.natural.thinking_tokens for budget in self.budgets)
            whole = len(self.answers) == forks
        if whole:
            self.done(self._trace())

    def _trace(self) -> Trace:
        answers = []
        for budget in self.budgets:
            answer = self.answers.get(budget, self.natural)
            assert answer is not None
            answers.append(
                BudgetAnswer(
                    token_budget=budget,
                    thinking_tokens=answer.thinking_tokens,
                    forced=answer.forced,
                    text=answer.text,
                    ended=answer.ended,
                    answer_tokens=answer.tokens,
                    kv_bytes=answer.kv_bytes,
                )
            )
        return Trace(
            prompt_tokens=self.prompt_tokens,
            token_ids=tuple(self.tokens),
            finish=self._finish(),
            answers=tuple(answers),
            wall_s=time.perf_counter() - self.started_s,
            waits=self.waits,
        )

    def _finish(self) -> str:
        if self.natural is None or self.natural.forced:
            loop = is_loop(self.tokens, self.request.decoding.loop_tokens)
            return "loop" if loop else "budget"
        return "stop" if self.vocabulary.think_close in self.tokens else "end"


@dataclass(frozen=True)
class Fork:
    """A trace that waits while its row answers at a smaller budget: what it needs to go on.

    thought  the token that it thinks next
    seen     tokens in its KV cache
    saved    the row's cache, for the engine to restore
    """

    thought: int
    seen: int
    saved: Any


@dataclass(eq=False)
class Sequence:
    """One row: the sample it belongs to, the tokens it is still to be fed, and how far it is.

    seen      tokens in its KV cache
    feed      tokens to feed, the next one first; the last one's logits give a new token
    script    thoughts that are put in the model's place, the next one first
    answer    the answer's tokens so far, None while thinking
    forced    whether thinking was closed by force
    budget    the budget that closed the thinking, None if none has
    kv_bytes  live bytes when thinking ended
    fork      the trace to return to once the answer is complete
    """

    sample: Sample
    seen: int
    feed: list[int]
    script: list[int] = field(default_factory=list)
    answer: list[int] | None = None
    forced: bool = False
    budget: int | None = None
    thinking_tokens: int = 0
    kv_bytes: int = 0
    fork: Fork | None = None

    @property
    def key(self) -> int:
        return self.sample.request.key

    @property
    def finished(self) -> bool:
        return not self.feed

    @property
    def at_budget(self) -> bool:
        """Whether the thoughts that are in the cache now fill a budget."""
        return self.answer is None and self.thinking_tokens in self.sample.budgets

    @property
    def at_last_budget(self) -> bool:
        return self.thinking_tokens == self.sample.budgets[-1]

    @property
    def most_ahead(self) -> int:
        """Tokens that an answer at a budget may take at most, the forced ones included."""
        closing = len(self.sample.vocabulary.forced_closing)
        return closing + self.sample.request.decoding.answer_tokens

    @property
    def in_loop(self) -> bool:
        """Whether thinking has just turned out to be a loop that is to be ended."""
        decoding = self.sample.request.decoding
        if self.answer is not None or not decoding.end_loops:
            return False
        due = self.thinking_tokens > 0 and self.thinking_tokens % CHECK_TOKENS == 0
        return due and is_loop(self.sample.tokens, decoding.loop_tokens)

    def close_by_force(
        self, live_bytes: LiveBytes, budget: int | None, fork: Fork | None = None
    ) -> None:
        """Answer at a full `budget`, or (None) where a loop is ended; then `fork`, if any, goes on."""
        self.forced, self.budget, self.answer, self.fork = True, budget, [], fork
        self.feed = list(self.sample.vocabulary.forced_closing)
        self.kv_bytes = live_bytes()

    def resume(self, live_bytes: LiveBytes) -> None:
        """Think on where the fork began; its cache is restored already."""
        assert self.fork is not None
        self.seen, self.forced, self.budget, self.answer = self.fork.seen, False, None, None
        thought, self.fork = self.fork.thought, None
        if self.in_loop:
            self.close_by_force(live_bytes, None)
        else:
            self.accept(thought, live_bytes)

    def accept(self, sampled: int, live_bytes: LiveBytes) -> None:
        """Take a sampled token as the next thought, or the next word of the answer, and feed it next."""
        token = sampled if self.answer is not None else self._thought(sampled)
        self.feed = [token]
        if not self.forced:
            self.sample.tokens.append(token)
        if self.answer is not None:
            self._accept_answer(token)
        elif token == self.sample.vocabulary.think_close:
            self.answer, self.kv_bytes = [], live_bytes()
        elif token in self.sample.vocabulary.end:
            self._end_without_answer(live_bytes)
        else:
            self.thinking_tokens += 1

    def _thought(self, sampled: int) -> int:
        """The next thought: the model's, or what is said instead where it wants to end too early."""
        vocabulary = self.sample.vocabulary
        ends = sampled == vocabulary.think_close or sampled in vocabulary.end
        if ends and not self.script and vocabulary.extension:
            self.script = list(vocabulary.extension)
            self.sample.waits += 1
        return self.script.pop(0) if self.script else sampled

    def _end_without_answer(self, live_bytes: LiveBytes) -> None:
        """The model ended its text while thinking, which leaves nothing to grade."""
        self.feed = []
        nothing = Answer(self.thinking_tokens, False, "", True, 0, live_bytes())
        self.sample.answered(None, nothing)

    def _accept_answer(self, sampled: int) -> None:
        assert self.answer is not None
        ended = sampled in self.sample.vocabulary.end
        if not ended:
            self.answer.append(sampled)
        vocabulary, limit = self.sample.vocabulary, self.sample.request.decoding.answer_tokens
        opener = list(vocabulary.opener)
        spent = len(self.answer) + ended
        # An answer opened by the model itself may spend the opener's tokens too.
        if ended or spent >= limit + (0 if self.forced else len(opener)):
            self.feed = []
            text = vocabulary.decode((opener if self.forced else []) + self.answer)
            found = Answer(self.thinking_tokens, self.forced, text, ended, spent, self.kv_bytes)
            self.sample.answered(self.budget, found)

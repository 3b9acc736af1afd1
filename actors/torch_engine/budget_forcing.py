"""What runs in a row of the batch: a trace that thinks, and at each token budget a fork that answers.

There are no tensors here: these objects decide which token is fed next and what a sampled token means. A
trace thinks until it closes its thinking itself or the largest budget closes it. At each smaller budget it
waits while its own row is fed the forced closing and the answer to it. Then it goes on with the thought
that it had drawn before. So forks need no rows of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from actors.engine import BudgetAnswer
from actors.repetition import CHECK_TOKENS, is_loop
from actors.trace_assembly import NO_BUDGET, Sample

LiveBytes = Callable[[], int]  # bytes that a row's KV cache holds now


@dataclass(frozen=True)
class Fork:
    """What a trace needs to go on after its row has answered at a smaller budget.

    thought  the token that it thinks next
    seen     tokens in its KV cache
    saved    the row's cache, for the engine to restore
    """

    thought: int
    seen: int
    saved: Any


@dataclass(eq=False)
class Sequence:
    """One row: the sample it belongs to, the tokens that it will be fed, and how far it has come.

    seen      tokens in its KV cache
    feed      tokens to feed, the next one first; the logits after the last one give a new token
    script    thoughts that replace the model's, the next one first
    answer    the answer's tokens so far, None while thinking
    closing   the tokens that closed the thinking, forced or the model's own
    forced    whether thinking was closed by force
    budget    the budget that closed the thinking, NO_BUDGET if none has
    kv_bytes  live bytes when thinking ended
    fork      the trace to return to once the answer is complete
    """

    sample: Sample
    seen: int
    feed: list[int]
    script: list[int] = field(default_factory=list)
    answer: list[int] | None = None
    closing: tuple[int, ...] = ()
    forced: bool = False
    budget: int = NO_BUDGET
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
        """Whether the thoughts in the cache fill a budget exactly."""
        return self.answer is None and self.thinking_tokens in self.sample.budgets

    @property
    def at_last_budget(self) -> bool:
        return self.thinking_tokens == self.sample.budgets[-1]

    @property
    def most_ahead(self) -> int:
        """The most tokens that an answer at a budget may take, forced ones included.

        The last of them is fed only by a step that is launched before the host has read it.
        """
        closing = len(self.sample.vocabulary.forced_closing)
        return closing + self.sample.request.decoding.answer_tokens

    @property
    def in_loop(self) -> bool:
        """Whether a loop that is to be ended has just been found."""
        decoding = self.sample.request.decoding
        if self.answer is not None or not decoding.end_loops:
            return False
        due = self.thinking_tokens > 0 and self.thinking_tokens % CHECK_TOKENS == 0
        return due and is_loop(self.sample.tokens, decoding.loop_tokens)

    def close_by_force(self, live_bytes: LiveBytes, budget: int, fork: Fork | None = None) -> None:
        """Answer at a full `budget`, or (NO_BUDGET) where thinking ended early; `fork`, if any, goes on."""
        self.forced, self.budget, self.fork = True, budget, fork
        self._begin_answer(self.sample.vocabulary.forced_closing, live_bytes)
        self.feed = list(self.closing)

    def end_loop(self, live_bytes: LiveBytes) -> None:
        self.sample.end_thinking("loop", self.thinking_tokens)
        self.close_by_force(live_bytes, NO_BUDGET)

    def resume(self, live_bytes: LiveBytes) -> None:
        """Continue thinking where the fork began; the row's cache has been restored."""
        assert self.fork is not None
        self.seen, self.forced, self.answer = self.fork.seen, False, None
        self.budget = NO_BUDGET
        thought, self.fork = self.fork.thought, None
        if self.in_loop:
            self.end_loop(live_bytes)
        else:
            self.accept(thought, live_bytes)

    def accept(self, sampled: int, live_bytes: LiveBytes) -> None:
        """Take a sampled token as the next thought or the next token of the answer, and feed it next."""
        token = sampled if self.answer is not None else self._thought(sampled)
        self.feed = [token]
        if not self.forced:
            self.sample.tokens.append(token)
        if self.answer is not None:
            self._accept_answer(token)
        elif closing := self.sample.vocabulary.close.length(self.sample.tokens):
            self._close_by_itself(closing, live_bytes)
        elif token in self.sample.vocabulary.end:
            self._end_with_text(live_bytes)
        else:
            self.thinking_tokens += 1

    def _thought(self, sampled: int) -> int:
        """The next thought: the model's, or the extension's where the model ends its thinking too early."""
        vocabulary = self.sample.vocabulary
        ends = sampled == vocabulary.close.token or sampled in vocabulary.end
        if ends and not self.script and vocabulary.extension:
            self.script = list(vocabulary.extension)
            self.sample.waits += 1
        return self.script.pop(0) if self.script else sampled

    def _close_by_itself(self, closing: int, live_bytes: LiveBytes) -> None:
        """The last `closing` tokens close the thinking; all but the newest counted as thoughts until now."""
        self.sample.end_thinking("stop", self.thinking_tokens)
        self.thinking_tokens -= closing - 1
        self._begin_answer(tuple(self.sample.tokens[-closing:]), live_bytes)

    def _end_with_text(self, live_bytes: LiveBytes) -> None:
        """The model ended its text while thinking, which may leave nothing to grade."""
        sample, decoding = self.sample, self.sample.request.decoding
        sample.end_thinking("end", self.thinking_tokens)
        if decoding.end_closes and not decoding.text_is_answer:
            self.close_by_force(live_bytes, NO_BUDGET)
        else:
            self.feed = []
            sample.answered(NO_BUDGET, sample.answer_of_ended_text(live_bytes()))

    def _begin_answer(self, closing: tuple[int, ...], live_bytes: LiveBytes) -> None:
        self.closing, self.answer, self.kv_bytes = closing, [], live_bytes()

    def _accept_answer(self, sampled: int) -> None:
        assert self.answer is not None
        ended = sampled in self.sample.vocabulary.end
        if not ended:
            self.answer.append(sampled)
        vocabulary, limit = self.sample.vocabulary, self.sample.request.decoding.answer_tokens
        spent = len(self.answer) + ended
        # An answer that the model opened itself may spend the opener's tokens too.
        if ended or spent >= limit + (0 if self.forced else len(vocabulary.opener)):
            self.feed = []
            text = vocabulary.text_after(self.closing, self.answer)
            thinking, forced = self.thinking_tokens, self.forced
            found = BudgetAnswer(self.budget, thinking, forced, text, ended, spent, self.kv_bytes)
            self.sample.answered(self.budget, found)

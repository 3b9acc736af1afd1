"""A sample while it is generated, and the trace that it becomes: the same for every engine.

An engine notes the answer at each token budget that the thinking filled, and one answer for all larger
budgets if the thinking ended before the largest. When all of them are there, the trace is assembled.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from actors.engine import BudgetAnswer, Trace, TraceRequest
from actors.repetition import is_loop
from actors.tokenization import Vocabulary

NO_BUDGET = 0  # the budget of an answer that serves all larger ones, until the trace is assembled


@dataclass(eq=False)
class Sample:
    """One requested trace and what has been found of it so far.

    tokens      the trace's own: thoughts, extensions included, and the answer that it gave by itself
    waits       how often an early end of thinking was replaced by an extension
    finish      how the thinking ended, in the words of `Trace.finish`
    filled      tokens that had been drawn when it ended, without the last one of an end by itself; None if
                it filled the largest budget
    at_budgets  the answer at each budget that the thinking filled
    at_larger   the answer at all larger budgets; None until it is known, and if there are none
    """

    request: TraceRequest
    vocabulary: Vocabulary
    prompt_tokens: int
    done: Callable[[Trace], None]
    reproducible: str = "batch_invariant"
    tokens: list[int] = field(default_factory=list)
    waits: int = 0
    reused_tokens: int = 0
    recomputed_tokens: int = 0
    finish: str = "budget"
    filled: int | None = None
    at_budgets: dict[int, BudgetAnswer] = field(default_factory=dict)
    at_larger: BudgetAnswer | None = None
    started_s: float = field(default_factory=time.perf_counter)

    @property
    def budgets(self) -> tuple[int, ...]:
        return self.request.decoding.token_budgets

    def end_thinking(self, finish: str, filled: int) -> None:
        """Note that the thinking ended before the largest budget: one answer will serve all larger ones."""
        self.finish, self.filled = finish, filled

    def answered(self, budget: int, answer: BudgetAnswer) -> None:
        """Note the answer at a budget, or (NO_BUDGET) at all larger ones; report a complete trace."""
        if budget == NO_BUDGET:
            self.at_larger = answer
        else:
            self.at_budgets[budget] = answer
        if self._is_complete():
            self.done(self._trace())

    def answer_of_ended_text(self, kv_bytes: int) -> BudgetAnswer:
        """What a text that ended during thinking gives at all larger budgets: itself, or nothing."""
        nothing = no_answer(self.filled or 0, kv_bytes)
        if not self.request.decoding.text_is_answer:
            return nothing
        return replace(nothing, text=self.vocabulary.decode(self.tokens[: self.filled]))

    def _is_complete(self) -> bool:
        if self.filled is None:
            return len(self.at_budgets) == len(self.budgets)
        full = [budget for budget in self.budgets if budget <= self.filled]
        return self.at_larger is not None and all(budget in self.at_budgets for budget in full)

    def _trace(self) -> Trace:
        return Trace(
            prompt_tokens=self.prompt_tokens,
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
        answer = self.at_budgets.get(budget, self.at_larger)
        assert answer is not None
        return replace(answer, token_budget=budget)

    def _finish(self) -> str:
        """How the thinking ended; a loop that filled the largest budget is found only here."""
        in_loop = self.finish == "budget" and is_loop(
            self.tokens, self.request.decoding.loop_tokens
        )
        return "loop" if in_loop else self.finish


def no_answer(thinking_tokens: int, kv_bytes: int, given_up: bool = False) -> BudgetAnswer:
    """What a trace has at all larger budgets if it ended, or was given up, without an answer."""
    ended = not given_up
    return BudgetAnswer(NO_BUDGET, thinking_tokens, False, "", ended, 0, kv_bytes, given_up)

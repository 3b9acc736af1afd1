"""An engine without a model, for tests of everything around one: same contract, answers from a hash.

A trace thinks for a number of tokens drawn from its key; its answer at a budget is a digit, the same at
every budget that lets it finish. Nothing here resembles a measurement.
"""

from collections import deque
from collections.abc import Callable

from actors.engine import BudgetAnswer, Trace, TraceRequest


class FakeEngine:
    """Finishes up to `max_rows` traces a step."""

    def __init__(self, max_rows: int):
        self.max_rows = max_rows
        self.waiting: deque[tuple[TraceRequest, Callable[[Trace], None]]] = deque()

    def add(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        self.waiting.append((request, done))

    def step(self) -> None:
        for _ in range(min(self.max_rows, len(self.waiting))):
            request, done = self.waiting.popleft()
            done(fake_trace(request))


def fake_trace(request: TraceRequest) -> Trace:
    budgets = request.decoding.token_budgets
    length = 1 + request.key % (2 * budgets[-1])
    stopped = length < budgets[-1]
    answers = (_answer(request, budget, length) for budget in budgets)
    return Trace(
        prompt_tokens=len(request.prompt),
        token_ids=tuple(range(min(length, budgets[-1]))),
        finish="stop" if stopped else "budget",
        answers=tuple(answers),
        wall_s=0.0,
    )


def _answer(request: TraceRequest, budget: int, length: int) -> BudgetAnswer:
    forced = length >= budget
    digit = (request.key // 7 + (budget if forced else 0)) % 10
    thinking = min(length, budget)
    return BudgetAnswer(budget, thinking, forced, f"\nThe answer is {digit}", True, 2, thinking)

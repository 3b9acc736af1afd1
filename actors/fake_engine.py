"""An engine without a model, to test everything around one: the same contract, answers from a hash.

A trace thinks for a number of tokens that its key alone determines. Its answer at a budget is a digit, the
same at every budget at which it finishes. Nothing here resembles a measurement.
"""

from collections import deque
from collections.abc import Callable

from actors.engine import BudgetAnswer, Trace, TraceRequest, Usage

ANSWER_TOKENS = 2
DOUBLINGS = 10


class FakeEngine:
    """Finishes up to `max_rows` traces per step."""

    warnings = ()
    continues = False

    def __init__(self, max_rows: int):
        self.max_rows = max_rows
        self.waiting: deque[tuple[TraceRequest, Callable[[Trace], None]]] = deque()

    def add(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        self.waiting.append((request, done))

    def step(self) -> None:
        for _ in range(min(self.max_rows, len(self.waiting))):
            request, done = self.waiting.popleft()
            done(fake_trace(request))

    def usage(self) -> Usage:
        return Usage(rows=0, kv_bytes=0, modelled_kv_bytes=0)


def fake_trace(request: TraceRequest) -> Trace:
    """Thinks for 1 token to 1023, each doubling of the length being as likely, unless a budget closes it."""
    budgets = request.decoding.token_budgets
    shortest = 1 << request.key % DOUBLINGS
    thinking = shortest + request.key // DOUBLINGS % shortest
    stops = thinking < budgets[-1]
    tokens = thinking + 1 + ANSWER_TOKENS if stops else budgets[-1]
    return Trace(
        prompt_tokens=len(request.prompt),
        token_ids=tuple(range(tokens)),
        finish="stop" if stops else "budget",
        answers=tuple(_answer(request, budget, thinking) for budget in budgets),
        wall_s=0.0,
    )


def _answer(request: TraceRequest, budget: int, thinking: int) -> BudgetAnswer:
    forced = thinking >= budget
    digit = (request.key // 7 + (budget if forced else 0)) % 10
    spent = min(thinking, budget)
    return BudgetAnswer(
        token_budget=budget,
        thinking_tokens=spent,
        forced=forced,
        text=f"\nThe answer is {digit}",
        ended=True,
        answer_tokens=ANSWER_TOKENS,
        kv_bytes=len(request.prompt) + spent,
    )

"""How a trace is assembled, and how its `finish` follows from what was found: once, for both engines."""

from dataclasses import replace

import pytest

from actors.engine import BudgetAnswer, Trace, TraceRequest
from actors.think_close import ThinkClose
from actors.tokenization import Vocabulary
from actors.trace_assembly import NO_BUDGET, Sample, no_answer
from raysweep.spec import Decoding, Sampling

CLOSE, END = 7, 8
BUDGETS = (2, 4, 6)
VOCABULARY = Vocabulary(
    ThinkClose(CLOSE, "", str), frozenset({END}), (CLOSE, 20), lambda tokens: f"{tokens}"
)
ANSWER = BudgetAnswer(NO_BUDGET, 0, True, "12", True, 2, 100)


def a_sample(found: list[Trace], loop_tokens: int = 0) -> Sample:
    way = Decoding(0, Sampling(0.0), "", "", "", 3, BUDGETS)
    request = TraceRequest("?", 5, replace(way, loop_tokens=loop_tokens))
    return Sample(request, VOCABULARY, 3, found.append)


def at(thinking: int, forced: bool = True) -> BudgetAnswer:
    return replace(ANSWER, thinking_tokens=thinking, forced=forced)


@pytest.mark.parametrize("order", [(2, 4, 6), (6, 4, 2), (4, 6, 2)])
def test_a_trace_that_fills_every_budget_is_complete_with_the_last_answer_in_any_order(order):
    found: list[Trace] = []
    sample = a_sample(found)
    sample.tokens = [1, 2, 3, 4, 5, 6]
    for budget in order:
        assert not found
        sample.answered(budget, at(budget))
    (trace,) = found
    assert trace.finish == "budget"
    assert [answer.token_budget for answer in trace.answers] == [2, 4, 6]
    assert [answer.thinking_tokens for answer in trace.answers] == [2, 4, 6]


@pytest.mark.parametrize("rest_first", [True, False])
def test_the_answer_after_an_early_end_serves_all_larger_budgets(rest_first):
    found: list[Trace] = []
    sample = a_sample(found)
    sample.tokens = [1, 2, 3, CLOSE, 9, END]
    sample.end_thinking("stop", 3)
    parts = [(NO_BUDGET, at(3, forced=False)), (2, at(2))]
    for budget, answer in parts if rest_first else reversed(parts):
        assert not found
        sample.answered(budget, answer)
    (trace,) = found
    assert trace.finish == "stop"
    assert [(a.token_budget, a.thinking_tokens, a.forced) for a in trace.answers] == [
        *((2, 2, True), (4, 3, False), (6, 3, False))
    ]


def test_a_trace_that_ends_before_every_budget_needs_no_other_answer():
    found: list[Trace] = []
    sample = a_sample(found)
    sample.tokens = [1, END]
    sample.end_thinking("end", 1)
    sample.answered(NO_BUDGET, sample.answer_of_ended_text(40))
    (trace,) = found
    assert trace.finish == "end"
    assert {(a.text, a.ended, a.given_up, a.kv_bytes) for a in trace.answers} == {
        ("", True, False, 40)
    }


def test_a_trace_that_was_given_up_has_no_answer_and_finishes_by_its_deadline():
    found: list[Trace] = []
    sample = a_sample(found)
    sample.end_thinking("deadline", 0)
    sample.answered(NO_BUDGET, no_answer(0, 30, given_up=True))
    (trace,) = found
    assert trace.finish == "deadline"
    assert all(a.given_up and not a.ended and not a.text for a in trace.answers)


def test_an_answer_that_was_given_up_does_not_change_how_the_thinking_finished():
    found: list[Trace] = []
    sample = a_sample(found)
    sample.tokens = [1, CLOSE]
    sample.end_thinking("stop", 1)
    sample.answered(NO_BUDGET, no_answer(1, 30, given_up=True))
    assert found[0].finish == "stop"


@pytest.mark.parametrize(("window", "finish"), [(0, "budget"), (6, "loop"), (5, "loop")])
def test_thinking_that_repeats_itself_up_to_the_last_budget_is_a_loop(window, finish):
    found: list[Trace] = []
    sample = a_sample(found, loop_tokens=window)
    sample.tokens = [1, 1, 1, 1, 1, 1]
    for budget in BUDGETS:
        sample.answered(budget, at(budget))
    assert found[0].finish == finish


def test_a_loop_that_was_ended_by_force_answers_the_rest():
    found: list[Trace] = []
    sample = a_sample(found, loop_tokens=3)
    sample.tokens = [1, 1, 1]
    sample.end_thinking("loop", 3)
    sample.answered(2, at(2))
    sample.answered(NO_BUDGET, at(3))
    (trace,) = found
    assert trace.finish == "loop"
    assert [answer.thinking_tokens for answer in trace.answers] == [2, 3, 3]

"""Thinking held to its budget, token by token: both ways of forcing, extensions and loops.

A script takes the place of the model's choices, so that the sequence of every budget can be written down.
What runs are the real engine's rows and forks, and the requests that are made of vLLM.
"""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import scripted_engines, tiny_models
from support.scripted_engines import Script, described

from actors.engine import Trace
from actors.kv.full import Full
from actors.repetition import CHECK_TOKENS, is_loop, loop_end, smallest_period
from actors.torch_engine.engine import TorchEngine
from raysweep.spec import Decoding

MODEL = tiny_models.smallest()
LARGEST = 40
BUDGETS = (8, 16, 20, 33, LARGEST)
PLAIN = tiny_models.decoding(token_budgets=BUDGETS)
WAIT = replace(PLAIN, extension="Wait")
SENTENCE = replace(PLAIN, forced_closing="\n\nI have to stop.\n</think>\n\n")
REOPENED = replace(PLAIN, end_closes=True)
AS_IT_IS = replace(REOPENED, text_is_answer=True)
WAYS = {"plain": PLAIN, "wait": WAIT, "sentence": SENTENCE}
WAYS |= {"reopened": REOPENED, "as_it_is": AS_IT_IS}


@cache
def engine() -> TorchEngine:
    architecture = tiny_models.architecture(MODEL)
    return TorchEngine(str(tiny_models.MODELS / MODEL), architecture, Full(), max_rows=4)


def token(text: str) -> int:
    (found,) = tokens(text)
    return found


def tokens(text: str) -> list[int]:
    return engine().texts.tokenizer.encode(text, add_special_tokens=False)


def script(ends: frozenset[int], loop_from: int = 10**6, by: str = "</think>") -> Script:
    """Thinks letters, all different in their neighbourhood, and wants to end after `ends` thoughts.

    From `loop_from` thoughts on it says "ab" for ever. An answer is a digit that its place decides.
    """

    def choice(seen: int, answering: bool) -> int:
        if answering:
            return token(str(seen % 10)) if seen % 3 else token("<|im_end|>")
        if seen >= loop_from:
            return token("ab"[seen % 2])
        return token(by) if seen in ends else token(chr(ord("a") + (seen * seen + seen // 7) % 26))

    return choice


def by_torch(way: Decoding, choose: Script, monkeypatch: pytest.MonkeyPatch) -> Trace:
    return scripted_engines.by_torch(engine(), way, choose, monkeypatch)


def by_vllm(way: Decoding, choose: Script) -> Trace:
    return scripted_engines.by_vllm(engine().texts, way, choose)


@pytest.fixture(params=["torch", "vllm"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    if request.param == "vllm":
        return by_vllm
    return lambda way, choose: by_torch(way, choose, monkeypatch)


def thoughts(choose: Script, count: int) -> list[int]:
    return [choose(seen, False) for seen in range(count)]


def test_a_trace_that_never_ends_is_closed_at_every_budget(run):
    choose = script(frozenset())
    for way in WAYS.values():
        trace = run(way, choose)
        assert list(trace.token_ids) == thoughts(choose, LARGEST)
        assert (trace.finish, trace.waits) == ("budget", 0)
        assert [a.thinking_tokens for a in trace.answers] == list(BUDGETS)
        assert all(a.forced for a in trace.answers)


def test_an_early_end_stands_where_nothing_extends_it(run):
    choose = script(frozenset({18}))
    trace = run(PLAIN, choose)
    assert list(trace.token_ids[:19]) == [*thoughts(choose, 18), token("</think>")]
    assert trace.finish == "stop"
    assert [(a.thinking_tokens, a.forced) for a in trace.answers] == [
        *((8, True), (16, True), (18, False), (18, False), (18, False))
    ]


@pytest.mark.parametrize("by", ["</think>", "<|im_end|>"])
def test_an_early_end_is_answered_with_wait_until_the_budget_is_full(run, by):
    """Ends at 10 and 15 thoughts: the second within reach of the budget 16, which cuts "Wait" short."""
    choose = script(frozenset({10, 15}), by=by)
    trace = run(WAIT, choose)
    expected = thoughts(choose, 10) + tokens("Wait")
    expected += (
        [choose(14, False)] + tokens("Wait") + [choose(n, False) for n in range(19, LARGEST)]
    )
    assert list(trace.token_ids) == expected
    assert (trace.finish, trace.waits) == ("budget", 2)
    assert [(a.thinking_tokens, a.forced) for a in trace.answers] == [(b, True) for b in BUDGETS]


@pytest.mark.parametrize("end", [38, 39])
def test_an_extension_is_cut_where_the_last_budget_is_full(run, end):
    choose = script(frozenset({end}))
    trace = run(WAIT, choose)
    assert list(trace.token_ids) == thoughts(choose, end) + tokens("Wait")[: LARGEST - end]
    assert trace.waits == 1


@pytest.mark.parametrize("end", [8, 16, LARGEST])
def test_an_end_on_the_budget_makes_no_difference_to_its_answer(run, end):
    ends, goes_on = script(frozenset({end})), script(frozenset())
    index = BUDGETS.index(end)
    for way in WAYS.values():
        assert run(way, ends).answers[index] == run(way, goes_on).answers[index]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ends", [(), (5,), (12, 18), (16,), (33, 38), (39,)], ids=str)
def test_the_fork_at_a_budget_is_the_run_with_that_budget(run, way, ends):
    choose = script(frozenset(ends))
    whole = run(WAYS[way], choose)
    for budget, answer in zip(BUDGETS, whole.answers, strict=True):
        alone = run(replace(WAYS[way], token_budgets=(budget,)), choose)
        assert alone.answers == (answer,)
        assert alone.token_ids[:budget] == whole.token_ids[:budget]


def test_what_is_fed_at_a_budget_is_the_thoughts_the_closing_and_the_answer(monkeypatch):
    """Position by position, as the decoder sees it."""
    ours, choose = engine(), script(frozenset({10}))
    fed: dict[int, list[int]] = {}
    decode = ours.decoder.decode

    def spy(tokens: torch.Tensor, positions: torch.Tensor, kv: Any) -> torch.Tensor:
        fed.setdefault(int(positions[0]), []).append(int(tokens[0]))
        return decode(tokens, positions, kv)

    monkeypatch.setattr(ours.decoder, "decode", spy)
    for way in (WAIT, replace(WAIT, forced_closing=SENTENCE.forced_closing)):
        fed.clear()
        one = replace(way, token_budgets=(12, 20))
        trace = by_torch(one, choose, monkeypatch)
        prompt = trace.prompt_tokens
        closing = tokens(way.forced_closing)
        for place, thought in enumerate(trace.token_ids):
            assert thought in fed[prompt + place]
        for budget in one.token_budgets:
            for place, forced in enumerate(closing):
                assert forced in fed[prompt + budget + place]
        assert fed[prompt + 12][0] == closing[0]  # the fork comes first, then the thought


def test_the_text_of_a_forced_answer_begins_after_the_close(run):
    choose = script(frozenset())
    assert run(PLAIN, choose).answers[0].text.startswith("\nThe answer is")
    assert run(SENTENCE, choose).answers[0].text.startswith("\n\n")
    assert "stop" not in run(SENTENCE, choose).answers[0].text


# Loops

LONG = (*BUDGETS, 200)
LOOPING = replace(PLAIN, token_budgets=LONG, loop_tokens=24)


def test_a_loop_is_recorded_and_changes_nothing_else(run):
    choose = script(frozenset(), loop_from=50)
    trace = run(LOOPING, choose)
    assert trace.finish == "loop"
    silent = run(replace(LOOPING, loop_tokens=0), choose)
    assert silent.finish == "budget"
    assert (trace.token_ids, trace.answers) == (silent.token_ids, silent.answers)


def test_a_loop_that_is_to_be_ended_is_closed_for_all_larger_budgets(run):
    choose = script(frozenset(), loop_from=50)
    trace = run(replace(LOOPING, end_loops=True), choose)
    assert trace.finish == "loop"
    assert len(trace.token_ids) == 96  # the first check at which 24 tokens have repeated
    assert [a.thinking_tokens for a in trace.answers] == [*BUDGETS, 96]
    assert all(a.forced for a in trace.answers)
    assert trace.answers[-1].text


@pytest.mark.parametrize("budget", [95, 96, 97, 128])
def test_an_ended_loop_is_the_same_whatever_budgets_there_are(run, budget):
    choose = script(frozenset(), loop_from=50)
    ended = replace(LOOPING, end_loops=True)
    with_it = run(replace(ended, token_budgets=(16, budget, 200)), choose)
    alone = run(replace(ended, token_budgets=(budget,)), choose)
    without = run(replace(ended, token_budgets=(200,)), choose)
    assert with_it.answers[1].text == alone.answers[0].text
    assert with_it.answers[1].thinking_tokens == alone.answers[0].thinking_tokens == min(budget, 96)
    assert with_it.answers[2] == without.answers[0]


def test_both_engines_agree_on_everything(monkeypatch):
    scripts = [
        script(frozenset(e), loop) for e in ((), (5,), (12, 18), (39,)) for loop in (50, 500)
    ]
    for way in (*WAYS.values(), LOOPING, replace(LOOPING, end_loops=True, extension="Wait")):
        for choose in scripts:
            ours = by_torch(way, choose, monkeypatch)
            assert described(ours) == described(by_vllm(way, choose))


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_the_smallest_period_is_that_of_brute_force(sequence):
    periods = range(1, len(sequence) + 1)
    brute = next(
        p for p in periods if all(a == b for a, b in zip(sequence, sequence[p:], strict=False))
    )
    assert smallest_period(sequence) == brute


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(0, 60), st.integers(12, 60))
def test_a_loop_is_found_at_the_first_check_at_which_it_fills_the_window(period, start, window):
    sequence = [*range(100, 100 + start), *(n % period for n in range(300))]
    assert is_loop(sequence, window) == (period <= window // 3)
    found = loop_end(sequence, window)
    if period > window // 3:
        assert found is None
    else:
        assert found is not None and found % CHECK_TOKENS == 0
        assert start + window - period <= found < start + window + CHECK_TOKENS


def test_a_window_of_nothing_finds_nothing():
    assert not is_loop([1] * 100, 0)
    assert loop_end([1] * 100, 0) is None

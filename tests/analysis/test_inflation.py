"""Lengths are compared by a paired ratio, whose interval covers and which many comparisons do not fool."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.analysis.inflation import Ratio, decided, length_ratio

LENGTHS = st.lists(st.integers(1, 500), min_size=2, max_size=12)


def drawn(rng: np.random.Generator, ratio: float, questions: int = 48, samples: int = 8):
    """Lengths of two engines: questions differ by factors, engines a little by question, samples a lot."""
    question = rng.lognormal(4, 0.7, questions)
    of_engine = ratio * np.exp(rng.normal(-(0.15**2) / 2, 0.15, questions))
    one, other = (
        (of * rng.lognormal(-0.125, 0.5, (samples, questions))).mean(axis=0)
        for of in (question * of_engine, question)
    )
    return one, other


@given(LENGTHS, st.integers(1, 40))
def test_a_trace_of_so_many_times_the_tokens_is_that_ratio_without_any_doubt(lengths, factor):
    one = np.array(lengths, dtype=float)
    ratio = length_ratio([(factor * one, one)])
    assert ratio.value == pytest.approx(factor)
    assert ratio.interval() == pytest.approx((factor, factor))
    assert ratio.excludes_1() == (factor > 1)


@given(LENGTHS)
def test_identical_engines_have_the_ratio_1_and_the_interval_1_to_1_exactly(lengths):
    one = np.array(lengths, dtype=float)
    ratio = length_ratio([(one, one.copy()), (2 * one, 2 * one)])
    assert (ratio.value, *ratio.interval()) == (1, 1, 1)
    assert not ratio.excludes_1()


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=2, max_size=12))
def test_exchanging_the_engines_inverts_the_ratio_and_its_interval(lengths):
    one, other = np.array(lengths, dtype=float).T
    there, back = length_ratio([(one, other)]), length_ratio([(other, one)])
    assert there.value == pytest.approx(1 / back.value)
    assert there.interval() == pytest.approx(tuple(1 / end for end in reversed(back.interval())))


def test_the_error_is_that_of_the_jackknife():
    one, other = drawn(np.random.default_rng(5), ratio=1.2)
    logs = [
        math.log(np.delete(one, left_out).mean() / np.delete(other, left_out).mean())
        for left_out in range(len(one))
    ]
    n = len(logs)
    jackknife = math.sqrt((n - 1) / n * sum((log - sum(logs) / n) ** 2 for log in logs))
    deviations = length_ratio([(one, other)]).deviations
    assert deviations.std(ddof=1) / math.sqrt(n) == pytest.approx(jackknife, rel=0.05)


def test_models_are_pooled_by_the_geometric_mean_and_no_surer_for_repeating_each_other():
    rng = np.random.default_rng(1)
    first, second = drawn(rng, ratio=1.5), drawn(rng, ratio=0.9)
    alone = [length_ratio([pair]) for pair in (first, second)]
    both, twice = length_ratio([first, second]), length_ratio([first, first])
    assert both.value == pytest.approx(math.sqrt(alone[0].value * alone[1].value))
    assert twice.value == pytest.approx(alone[0].value)
    assert twice.interval() == pytest.approx(alone[0].interval())


def test_only_questions_that_all_engines_have_samples_of_are_compared():
    one, other = np.array([10.0, np.nan, 30.0, 8.0]), np.array([10.0, 5.0, 10.0, np.nan])
    ratio = length_ratio([(one, other)])
    assert (ratio.value, ratio.n_questions) == (2, 2)


@pytest.mark.parametrize("one", [[0.0, 0.0], [np.nan, np.nan], [np.nan, 4.0]])
def test_nothing_is_said_where_nobody_thinks_or_fewer_than_two_questions_are_measured(one):
    ratio = length_ratio([(np.array(one), np.array([3.0, 4.0]))])
    assert all(math.isnan(end) for end in ratio.interval())
    assert decided([ratio]) == [False]


def test_intervals_cover_the_true_ratio():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        low, high = length_ratio([drawn(rng, ratio=1.1)]).interval()
        covered += low <= 1.1 <= high
    assert 0.93 <= covered / 400 <= 0.975


def test_of_many_equal_engines_hardly_a_run_finds_one_that_differs():
    rng = np.random.default_rng(2)
    worlds = [[length_ratio([drawn(rng, 1.0)]) for _ in range(9)] for _ in range(200)]
    alone = sum(any(ratio.excludes_1() for ratio in world) for world in worlds)
    together = sum(any(decided(world)) for world in worlds)
    assert alone / 200 > 0.2  # each by itself would be a false alarm in every third run
    assert together / 200 <= 0.07


def test_decisions_are_those_of_holm():
    rng = np.random.default_rng(3)
    for _ in range(20):
        ratios = [length_ratio([drawn(rng, factor)]) for factor in (1, 1.04, 1.07, 1.1, 1.3)]
        assert decided(ratios) == textbook_holm([p_value(ratio) for ratio in ratios])


def p_value(ratio: Ratio) -> float:
    """The smallest error at which the interval excludes 1, by bisection."""
    low, high = 1e-9, 1 - 1e-9
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if ratio.excludes_1(1 - middle) else (middle, high)
    return high


def textbook_holm(p_values: list[float]) -> list[bool]:
    found = [False] * len(p_values)
    for rank, index in enumerate(np.argsort(p_values)):
        if p_values[index] > 0.05 / (len(p_values) - rank):
            break
        found[index] = True
    return found

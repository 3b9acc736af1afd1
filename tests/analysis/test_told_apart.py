"""One critical value for all comparisons with the best: its size, and what it tells apart."""

from statistics import NormalDist

import numpy as np
import pytest

from raysweep.analysis.told_apart import DRAWS, SEED, CentredDraws
from raysweep.analysis.uncertainty import bootstrap_weights, paired_difference, student_quantile


def coins(rows: int, questions: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).binomial(1, 0.5, (questions, rows)).astype(float)


def test_it_is_the_quantile_of_the_largest_t_over_the_draws():
    scores = coins(20)
    found = CentredDraws.of(scores).critical_value(3, 15)
    weights = bootstrap_weights(len(scores), DRAWS, SEED)
    largest = []
    for weight in weights:
        t = []
        for other in range(15):
            difference = scores[:, 3] - scores[:, other]
            error = difference.std(ddof=1) / np.sqrt(len(scores))
            t.append(abs(weight @ difference - difference.mean()) / error if error else 0.0)
        largest.append(max(t))
    of_draws = np.quantile(largest, 0.95, method="higher") * np.sqrt(60 / 59)
    tail = NormalDist().cdf(float(of_draws))
    assert found == pytest.approx(student_quantile(tail, np.array(59.0)), abs=0.004)


@pytest.mark.parametrize("questions", [8, 12, 30])
def test_all_intervals_hold_at_once_on_both_sides_with_few_questions_too(questions):
    held, worlds = 0, 40
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        able = rng.normal(0, 1.5, (questions, 1)) + rng.normal(0, 0.5, (questions, 100))
        scores = rng.binomial(8, 1 / (1 + np.exp(-able))) / 8
        critical = CentredDraws.of(scores).critical_value(0, 100)
        found = paired_difference(scores[:, [0]], scores[:, 1:], at_least=critical)
        held += bool(((found.low <= 0) & (found.high >= 0)).all())
    # 95% less three standard errors of 40 worlds. By the draws' own quantile half held at 8 questions.
    assert held / worlds >= 0.85


def test_more_comparisons_make_it_stricter():
    draws = CentredDraws.of(coins(2_000))
    values = [draws.critical_value(0, count) for count in (1, 2, 20, 2_000)]
    assert values[0] == 0
    assert values == sorted(values)
    assert 1.3 < values[1] < 2.1
    assert 3 < values[3] < 4.5


def test_copies_and_single_questions_are_no_comparison():
    one = coins(1)
    assert CentredDraws.of(np.hstack([one] * 5)).critical_value(2, 5) == pytest.approx(0, abs=0.01)
    assert CentredDraws.of(coins(5, questions=1)).critical_value(0, 5) == 0


def test_questions_that_were_not_measured_take_no_part():
    scores = coins(10)
    scores[:10, 4] = np.nan
    assert np.isfinite(CentredDraws.of(scores).critical_value(4, 10))


def test_the_order_of_the_others_does_not_matter():
    scores = coins(50)
    order = np.append(0, 1 + np.random.default_rng(0).permutation(49))
    shuffled = CentredDraws.of(scores).take(order).critical_value(0, 50)
    assert shuffled == CentredDraws.of(scores).critical_value(0, 50)

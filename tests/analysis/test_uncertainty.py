"""Intervals over questions: how often they hold the truth, and what they say where there is little."""

from itertools import product

import numpy as np
import pytest

from raysweep.analysis.uncertainty import (
    bootstrap_means,
    bootstrap_weights,
    mean_score,
    paired_difference,
    run_spread,
    score_interval,
    standard_error,
    student_quantile,
)

# How difficulty is spread over questions: parameters of a beta distribution.
BENCHMARKS = {
    "all or nothing": (0.3, 0.7),
    "even": (1, 1),
    "hard": (0.15, 1.35),
    "easy": (1.35, 0.15),
}
RUNS = 3000


def runs(questions: int, difficulty: tuple[float, float], samples: int = 16) -> np.ndarray:
    """Scores of many runs, each on its own questions: [questions, runs]."""
    rng = np.random.default_rng(7)
    return rng.binomial(samples, rng.beta(*difficulty, (questions, RUNS))) / samples


@pytest.mark.parametrize(("questions", "benchmark"), list(product((30, 198), BENCHMARKS)))
def test_a_95_percent_interval_holds_the_truth_in_93_to_97_percent_of_runs(questions, benchmark):
    a, b = BENCHMARKS[benchmark]
    found = score_interval(runs(questions, (a, b)))
    truth = a / (a + b)
    assert 0.93 <= np.mean((found.low <= truth) & (truth <= found.high)) <= 0.97


@pytest.mark.parametrize(
    ("questions", "benchmark"),
    list(product((30, 198), ("all or nothing", "even"))),
)
def test_a_difference_on_the_same_questions_is_held_as_often(questions, benchmark):
    rng = np.random.default_rng(8)
    a, b = BENCHMARKS[benchmark]
    chance = rng.beta(a, b, (questions, RUNS))
    one, other = rng.binomial(16, chance) / 16, rng.binomial(16, chance**2) / 16
    truth = a / (a + b) - a * (a + 1) / ((a + b) * (a + b + 1))
    found = paired_difference(one, other)
    assert 0.93 <= np.mean((found.low <= truth) & (truth <= found.high)) <= 0.97


def test_pairing_tells_apart_what_two_intervals_do_not():
    rng = np.random.default_rng(0)
    one = rng.beta(0.5, 0.5, 60)
    other = np.clip(one - 0.05 + rng.normal(0, 0.02, 60), 0, 1)
    assert score_interval(other).high > score_interval(one).low
    assert paired_difference(one, other).low > 0


def test_many_points_are_each_points_own_interval():
    scores = np.random.default_rng(0).random((20, 3, 2))
    scores[4:, 1, 1] = np.nan
    together = score_interval(scores)
    for i, j in product(range(3), range(2)):
        alone = score_interval(scores[:, i, j])
        assert (together.low[i, j], together.high[i, j]) == (alone.low, alone.high)


def test_questions_that_were_not_measured_are_as_if_they_were_not_there():
    scores = np.array([0.2, 0.9, np.nan, 0.4, 0.6])
    there = scores[~np.isnan(scores)]
    assert score_interval(scores).low == score_interval(there).low
    assert standard_error(scores) == standard_error(there)


@pytest.mark.parametrize("score", [0.0, 1.0, 0.5, 0.001])
def test_questions_that_all_score_the_same_still_leave_doubt(score: float):
    found = score_interval(np.full(48, score))
    assert 0 <= found.low <= score <= found.high <= 1
    assert found.high - found.low > 0.05


def test_no_success_among_48_questions_bounds_the_accuracy_as_wilson_does():
    found = score_interval(np.zeros(48))
    assert found.low == 0
    assert found.high == pytest.approx(1.959964**2 / (48 + 1.959964**2), abs=1e-6)


def test_scores_of_right_or_wrong_have_wilsons_interval():
    found = score_interval(np.repeat([1.0, 0.0], [12, 18]))
    z, p, n = 1.959964, 0.4, 30
    centre, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found.low == pytest.approx((centre - half) / (1 + z * z / n), abs=1e-6)
    assert found.high == pytest.approx((centre + half) / (1 + z * z / n), abs=1e-6)


def test_a_wider_level_gives_a_wider_interval():
    scores = np.arange(12) / 11
    narrow, wide = score_interval(scores, level=0.5), score_interval(scores, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_one_question_says_little_and_none_says_nothing():
    assert score_interval(np.array([1.0])).low < 0.5
    assert paired_difference(np.array([1.0]), np.array([0.0])).low == -1
    assert np.isnan(mean_score(np.array([np.nan])))
    assert np.isnan(standard_error(np.array([1.0])))


def test_the_standard_error_is_that_of_the_questions_not_of_the_samples():
    assert standard_error(np.array([0.0, 1.0, 0.0, 1.0])) == pytest.approx(np.sqrt(1 / 3 / 4))


def test_runs_on_the_same_questions_spread_only_where_questions_are_undecided():
    assert run_spread(np.array([0.0, 1.0, 1.0])) == 0
    assert run_spread(np.array([0.5, 0.5, 0.5, 0.5])) == 0.25
    rng = np.random.default_rng(0)
    chance = rng.random(25)
    accuracies = rng.binomial(1, chance, (20_000, 25)).mean(axis=1)
    assert run_spread(chance) == pytest.approx(accuracies.std(), rel=0.02)


@pytest.mark.parametrize(
    ("df", "quantile"), [(4, 2.7764), (10, 2.2281), (29, 2.0452), (197, 1.9721)]
)
def test_students_quantile_is_that_of_the_tables(df: int, quantile: float):
    assert student_quantile(0.975, np.array(df)) == pytest.approx(quantile, abs=0.01)


def test_each_draw_resamples_as_many_questions_as_there_are():
    weights = bootstrap_weights(n_questions=7, draws=50, seed=3)
    assert weights.shape == (50, 7)
    assert np.allclose(weights.sum(axis=1), 1)
    assert np.allclose(weights * 7, np.round(weights * 7))
    assert np.array_equal(weights, bootstrap_weights(7, 50, 3))
    assert not np.array_equal(weights, bootstrap_weights(7, 50, 4))
    with pytest.raises(ValueError, match="at least one question"):
        bootstrap_weights(0, 50, 3)


def test_a_draw_that_holds_no_measured_question_keeps_the_plain_mean():
    weights = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0], [0.0, 0.5, 0.5]])
    scores = np.array([1.0, 0.0, np.nan])
    assert bootstrap_means(scores, weights).tolist() == [round(2 / 3, 12), 0.5, 0.0]
    assert mean_score(scores) == 0.5


def test_equal_scores_have_equal_means_in_every_draw():
    scores = np.random.default_rng(0).random(31)
    columns = np.stack([scores] * 37, axis=1)
    means = bootstrap_means(columns, bootstrap_weights(31, 200, seed=1))
    assert (means == means[:, :1]).all()
    assert np.array_equal(means[:, 0], bootstrap_means(scores, bootstrap_weights(31, 200, seed=1)))

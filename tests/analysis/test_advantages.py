"""Benchmarks are pooled by their questions, errors are Student's, and what was not measured is not chosen."""

from dataclasses import replace

import numpy as np
import pytest
from support import planted_thresholds
from support.planted_thresholds import with_threshold

from raysweep.analysis.advantages import Advantages, by_halves, pooled
from raysweep.analysis.candidates import Candidates
from raysweep.analysis.doubling import Doublings
from raysweep.analysis.threshold import judged

SIZES = np.array([1e9, 2e9, 4e9])


def advantages(
    questions: int, total: tuple[float, ...] = (1.0, 0.0, -1.0), variance: float = 0.01
) -> Advantages:
    covariance = variance * np.eye(3)
    return Advantages(SIZES, np.array(total), np.ones(3), covariance, questions - 1, questions)


def test_benchmarks_are_pooled_by_their_numbers_of_questions():
    few, many = advantages(30, (1.0, 0.0, 0.0)), advantages(90, (0.0, 0.0, -1.0))
    together = pooled([few, many])
    assert np.allclose(together.total, [0.25, 0.0, -0.75])
    assert np.allclose(np.diag(together.covariance), 0.01 * (0.25**2 + 0.75**2))
    assert together.questions == 120 and np.allclose(together.contests, 1)


def test_one_benchmark_is_itself():
    own = advantages(30)
    assert pooled([own]).freedom == pytest.approx(own.freedom)
    assert np.array_equal(pooled([own]).total, own.total)


def test_degrees_of_freedom_are_those_of_the_benchmark_whose_noise_dominates():
    equal = pooled([advantages(30), advantages(30)])
    assert equal.freedom == pytest.approx(58)
    small_and_noisy = pooled([advantages(8, variance=10.0), advantages(9, variance=1e-4)])
    assert small_and_noisy.freedom == pytest.approx(7, abs=0.1)
    certain = replace(advantages(30), covariance=np.zeros((3, 3)))
    assert pooled([certain, certain]).freedom == 58


def test_the_interval_of_an_advantage_has_students_width():
    few, many = (judged(advantages(n), seed=0).advantages[0] for n in (8, 10_000))
    assert (few.high - few.low) / 2 == pytest.approx(0.1 * 2.365, rel=0.01)
    assert (many.high - many.low) / 2 == pytest.approx(0.1 * 1.96, rel=0.01)


@pytest.mark.parametrize(("standard_errors", "said"), [(2.2, "not significant"), (2.6, "beat")])
def test_all_sizes_together_are_judged_by_the_noise_of_few_questions(standard_errors, said):
    """With 8 questions, 2.2 standard errors are chance: Student's quantile is 2.36."""
    total = standard_errors * np.sqrt(0.03) / 3
    answer = judged(advantages(8, (total, total, total)), seed=0)
    assert not answer.decided and said in answer.reason


def test_a_configuration_is_not_chosen_by_questions_that_it_was_not_measured_on():
    rng = np.random.default_rng(0)
    candidates = planted_thresholds.candidates(with_threshold(4.2e9), 20, 0)
    doublings = Doublings(candidates, [1])
    chosen_by = rng.random((len(candidates), 6))
    unmeasured = rng.random(len(candidates)) < 0.3
    never = Candidates(
        candidates.take(np.flatnonzero(~unmeasured).tolist()).members,
        candidates.scores[:, ~unmeasured],
    )
    assert (never.weights_bytes.min(), never.memory_bytes(1).max()) == (
        candidates.weights_bytes.min(),
        candidates.memory_bytes(1).max(),
    )
    measured = rng.random(chosen_by.shape)
    unknown = np.where(unmeasured[:, None], np.nan, chosen_by)
    (found,) = doublings.contests(unknown, measured)
    (without,) = Doublings(never, [1]).contests(chosen_by[~unmeasured], measured[~unmeasured])
    last = without.advantage.shape[1]
    assert np.allclose(found.advantage[:, -last:], without.advantage, equal_nan=True)


def test_a_member_of_a_single_question_is_borne_and_compared_on_that_question_alone():
    candidates = planted_thresholds.candidates(with_threshold(4.2e9), 20, 0)
    candidates.scores[1:, ::5] = np.nan
    own = by_halves(candidates, [1], 0)[1]
    assert np.isfinite(own.total).all() and np.isfinite(own.covariance).all()
    assert np.abs(own.total).max() <= own.contests.max() + 1e-9


def test_no_choice_depends_on_the_order_of_the_rows():
    candidates = planted_thresholds.candidates(with_threshold(4.2e9), 12, 0)
    shuffled = candidates.take(np.random.default_rng(1).permutation(len(candidates)).tolist())
    one, other = (by_halves(own, [1], 0)[1] for own in (candidates, shuffled))
    assert np.allclose(one.total, other.total, atol=1e-5)
    assert np.allclose(one.covariance, other.covariance, atol=1e-5)

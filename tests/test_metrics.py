"""Estimators against their slow, obvious twins: enumeration of all subsets, in fractions."""

import time
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.metrics import (
    bootstrap_means,
    bootstrap_weights,
    interval,
    maj_at_k,
    mean_score,
    pass_at_k,
)

CORRECT, ABSENT = "correct", None


def pass_at_k_by_enumeration(pool: list, k: int) -> Fraction:
    subsets = list(combinations(pool, k))
    return Fraction(sum(CORRECT in subset for subset in subsets), len(subsets))


def maj_at_k_by_enumeration(pool: list, k: int) -> Fraction:
    subsets = list(combinations(pool, k))
    return sum((vote_by_hand(subset) for subset in subsets), Fraction(0)) / len(subsets)


def vote_by_hand(subset: tuple) -> Fraction:
    votes = [answer for answer in subset if answer is not ABSENT]
    if not votes:
        return Fraction(0)
    most = max(votes.count(answer) for answer in votes)
    winners = {answer for answer in votes if votes.count(answer) == most}
    return Fraction(CORRECT in winners, len(winners))


def pool_of(correct: int, wrong_counts: list[int], absent: int) -> list:
    wrong = [f"wrong {i}" for i, count in enumerate(wrong_counts) for _ in range(count)]
    return [CORRECT] * correct + wrong + [ABSENT] * absent


@st.composite
def polls(draw) -> tuple[int, list[int], int, int]:
    """(correct, wrong counts, absent, k) of at most ten samples."""
    correct = draw(st.integers(0, 5))
    absent = draw(st.integers(0, 3))
    wrong_counts = draw(st.lists(st.integers(0, 4), max_size=5))
    while correct + sum(wrong_counts) + absent > 10:
        wrong_counts.pop()
    n = correct + sum(wrong_counts) + absent
    if n == 0:
        correct = n = 1
    return correct, wrong_counts, absent, draw(st.integers(1, n))


@given(polls())
@settings(max_examples=150, deadline=None)
def test_maj_at_k_is_the_share_of_all_k_subsets_that_vote_right(poll):
    correct, wrong_counts, absent, k = poll
    expected = maj_at_k_by_enumeration(pool_of(correct, wrong_counts, absent), k)
    assert maj_at_k(correct, wrong_counts, absent, k) == float(expected)


@given(polls())
@settings(max_examples=100, deadline=None)
def test_pass_at_k_is_the_share_of_all_k_subsets_that_hold_a_correct_sample(poll):
    correct, wrong_counts, absent, k = poll
    pool = pool_of(correct, wrong_counts, absent)
    assert pass_at_k(len(pool), correct, k) == float(pass_at_k_by_enumeration(pool, k))


@given(polls())
@settings(max_examples=100, deadline=None)
def test_maj_at_1_is_pass_at_1(poll):
    correct, wrong_counts, absent, _ = poll
    n = correct + sum(wrong_counts) + absent
    assert maj_at_k(correct, wrong_counts, absent, 1) == pass_at_k(n, correct, 1)


def test_a_tie_is_shared_equally():
    assert maj_at_k(correct=1, wrong_counts=[1], absent=0, k=2) == 1 / 2
    assert maj_at_k(correct=2, wrong_counts=[2, 2], absent=0, k=6) == 1 / 3


def test_an_absent_answer_casts_no_vote_and_a_subset_without_a_vote_scores_zero():
    assert maj_at_k(correct=1, wrong_counts=[], absent=3, k=4) == 1
    assert maj_at_k(correct=1, wrong_counts=[], absent=3, k=1) == 1 / 4
    assert maj_at_k(correct=0, wrong_counts=[], absent=3, k=2) == 0


def test_wrong_answers_that_disagree_lose_to_a_correct_minority():
    assert maj_at_k(correct=2, wrong_counts=[1, 1, 1], absent=0, k=5) == 1
    assert maj_at_k(correct=2, wrong_counts=[3], absent=0, k=5) == 0


def test_the_order_of_the_wrong_answers_and_empty_ones_do_not_matter():
    assert maj_at_k(4, [3, 0, 1], 2, 5) == maj_at_k(4, [1, 3], 2, 5)


def test_two_votes_are_exactly_as_good_as_one():
    for correct in range(1, 16):
        assert maj_at_k(correct, [16 - correct], 0, 2) == maj_at_k(correct, [16 - correct], 0, 1)


def test_sixty_four_samples_are_counted_in_milliseconds():
    start = time.perf_counter()
    assert maj_at_k(20, [1] * 24, 20, 32) == pytest.approx(1, abs=1e-6)
    assert 0 < maj_at_k(16, [14, 9, 7, 5, 3, 2, 1, 1], 6, 16) < 1
    assert time.perf_counter() - start < 1


def test_with_two_answers_and_an_odd_group_the_vote_is_a_hypergeometric_tail():
    tail = sum(comb(30, votes) * comb(34, 17 - votes) for votes in range(9, 18))
    assert maj_at_k(30, [34], 0, 17) == tail / comb(64, 17)


@pytest.mark.parametrize("k", [0, 5])
def test_a_group_larger_than_the_pool_is_an_error(k):
    with pytest.raises(ValueError, match="group size"):
        pass_at_k(4, 2, k)
    with pytest.raises(ValueError, match="group size"):
        maj_at_k(2, [1], 1, k)


def test_impossible_counts_are_errors():
    with pytest.raises(ValueError, match="5 correct of 4"):
        pass_at_k(4, 5, 1)
    with pytest.raises(ValueError, match="negative"):
        maj_at_k(1, [-1], 3, 1)


def test_each_draw_resamples_as_many_questions_as_there_are():
    weights = bootstrap_weights(n_questions=7, draws=50, seed=3)
    assert weights.shape == (50, 7)
    assert np.allclose(weights.sum(axis=1), 1)
    assert np.allclose(weights * 7, np.round(weights * 7))
    assert np.array_equal(weights, bootstrap_weights(7, 50, 3))
    assert not np.array_equal(weights, bootstrap_weights(7, 50, 4))


def test_the_interval_is_that_of_a_bootstrap_written_as_a_loop():
    scores = np.random.default_rng(0).random(20)
    low, high = interval(scores, bootstrap_weights(20, 4000, seed=1))
    rng = np.random.default_rng(2)
    means = [scores[rng.integers(0, 20, 20)].mean() for _ in range(4000)]
    assert low == pytest.approx(np.quantile(means, 0.025), abs=0.01)
    assert high == pytest.approx(np.quantile(means, 0.975), abs=0.01)


@pytest.mark.parametrize("score", [0.0, 1.0, 0.5, 0.001])
def test_questions_that_all_score_the_same_still_leave_doubt(score):
    low, high = interval(np.full(48, score), bootstrap_weights(48, 100, seed=1))
    assert 0 <= low <= score <= high <= 1
    assert high - low > 0.05


def test_no_success_among_48_questions_bounds_the_accuracy_as_wilson_does():
    low, high = interval(np.zeros(48), bootstrap_weights(48, 100, seed=1))
    assert low == 0
    assert high == pytest.approx(1.959964**2 / (48 + 1.959964**2), abs=1e-6)


def test_a_wider_level_gives_a_wider_interval():
    scores, weights = np.linspace(0, 1, 12), bootstrap_weights(12, 500, seed=1)
    low, high = interval(scores, weights, level=0.5)
    wide_low, wide_high = interval(scores, weights, level=0.99)
    assert wide_low < low < high < wide_high


def test_questions_that_were_not_measured_leave_their_weight_to_the_others():
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

"""Estimators against their slow, obvious twins: enumeration of all subsets, in fractions."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.metrics import best_of_k, maj_at_k, pass_at_k

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


def best_of_k_by_enumeration(scores: list[int], correct: list[bool], k: int) -> Fraction:
    def best_by_hand(subset: tuple) -> Fraction:
        best = [right for score, right in subset if score == max(s for s, _ in subset)]
        return Fraction(sum(best), len(best))

    subsets = list(combinations(zip(scores, correct, strict=True), k))
    return sum((best_by_hand(subset) for subset in subsets), Fraction(0)) / len(subsets)


def pool_of(correct: int, wrong_counts: tuple[int, ...], absent: int) -> list:
    wrong = [f"wrong {i}" for i, count in enumerate(wrong_counts) for _ in range(count)]
    return [CORRECT] * correct + wrong + [ABSENT] * absent


def partitions(n: int, most: int | None = None) -> Iterator[tuple[int, ...]]:
    """All ways to write n as a sum, largest part first."""
    if n == 0:
        yield ()
    for part in range(min(n, most or n), 0, -1):
        yield from ((part, *rest) for rest in partitions(n - part, part))


def polls(n: int) -> Iterator[tuple[int, tuple[int, ...], int]]:
    """All possible counts of n samples: (correct, wrong counts, absent)."""
    for correct, absent in product(range(n + 1), repeat=2):
        if correct + absent <= n:
            yield from ((correct, wrong, absent) for wrong in partitions(n - correct - absent))


def maj_of(correct: int, wrong: tuple[int, ...], absent: int, k: int) -> float:
    return float(maj_at_k([correct], [list(wrong)], [absent], [k])[0, 0])


@pytest.mark.parametrize("n", range(1, 9))
def test_maj_at_k_is_the_share_of_all_k_subsets_that_vote_right(n: int):
    cases = list(polls(n))
    width = max(len(wrong) for _, wrong, _ in cases)
    padded = [[*wrong, *[0] * (width - len(wrong))] for _, wrong, _ in cases]
    sizes = range(1, n + 1)
    counted = maj_at_k([c for c, _, _ in cases], padded, [a for _, _, a in cases], list(sizes))
    for index, case in enumerate(cases):
        pool = pool_of(*case)
        for k in sizes:
            expected = float(maj_at_k_by_enumeration(pool, k))
            assert counted[k - 1, index] == pytest.approx(expected, abs=1e-12), (case, k)


@pytest.mark.parametrize("n", range(1, 9))
def test_pass_at_k_is_the_share_of_all_k_subsets_that_hold_a_correct_sample(n: int):
    for correct, k in product(range(n + 1), range(1, n + 1)):
        expected = pass_at_k_by_enumeration(pool_of(correct, (), n - correct), k)
        assert float(pass_at_k(n, correct, k)) == pytest.approx(float(expected), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8), st.data())
@settings(max_examples=150, deadline=None)
def test_best_of_k_is_the_share_of_all_k_subsets_whose_best_scored_sample_is_right(samples, data):
    k = data.draw(st.integers(1, len(samples)))
    scores, correct = [score for score, _ in samples], [right for _, right in samples]
    expected = best_of_k_by_enumeration(scores, correct, k)
    assert best_of_k(scores, correct, k) == pytest.approx(float(expected), abs=1e-12)


@given(st.integers(0, 20), st.lists(st.integers(1, 9), max_size=6), st.integers(0, 8))
@settings(max_examples=100, deadline=None)
def test_one_and_two_votes_are_exactly_as_good_as_one_sample_if_none_is_absent(
    correct, wrong, absent
):
    n = correct + sum(wrong)
    if n + absent:
        assert maj_of(correct, tuple(wrong), absent, 1) == pass_at_k(n + absent, correct, 1)
    if n >= 2:
        assert maj_of(correct, tuple(wrong), 0, 2) == maj_of(correct, tuple(wrong), 0, 1)


def test_a_tie_is_shared_equally():
    assert maj_of(correct=1, wrong=(1,), absent=0, k=2) == 1 / 2
    assert maj_of(correct=2, wrong=(2, 2), absent=0, k=6) == pytest.approx(1 / 3, abs=1e-12)


def test_an_absent_answer_casts_no_vote_and_a_subset_without_a_vote_scores_zero():
    assert maj_of(correct=1, wrong=(), absent=3, k=4) == 1
    assert maj_of(correct=1, wrong=(), absent=3, k=1) == 1 / 4
    assert maj_of(correct=0, wrong=(), absent=3, k=2) == 0


def test_wrong_answers_that_disagree_lose_to_a_correct_minority():
    assert maj_of(correct=2, wrong=(1, 1, 1), absent=0, k=5) == 1
    assert maj_of(correct=2, wrong=(3,), absent=0, k=5) == 0


def test_the_order_of_the_wrong_answers_and_empty_ones_do_not_matter():
    assert maj_of(4, (3, 0, 1), 2, 5) == maj_of(4, (1, 3), 2, 5)


@pytest.mark.parametrize("n", [64, 200])
def test_with_two_answers_and_an_odd_group_the_vote_is_a_hypergeometric_tail(n: int):
    right, wrong, k = n // 2 - 2, n - n // 2 + 2, 17
    tail = sum(comb(right, votes) * comb(wrong, k - votes) for votes in range(9, k + 1))
    assert maj_of(right, (wrong,), 0, k) == pytest.approx(tail / comb(n, k), abs=1e-12)


def test_without_ties_many_different_wrong_answers_need_two_right_votes():
    # 60 wrong answers, all different: the right one wins with two votes, and shares with one.
    n, k = 64, 3
    one, more = comb(4, 1) * comb(60, 2), comb(4, 2) * 60 + comb(4, 3)
    assert maj_of(4, (1,) * 60, 0, k) == pytest.approx((one / 3 + more) / comb(n, k), abs=1e-12)


def test_ten_thousand_questions_of_32_samples_are_counted_together():
    rng = np.random.default_rng(0)
    correct = rng.integers(0, 33, 10_000)
    wrong = np.stack([rng.multinomial(32 - c, [0.4, 0.2, 0.1, 0.1, 0.1, 0.1]) for c in correct])
    counted = maj_at_k(correct, wrong[:, :5], wrong[:, 5], (1, 3, 4, 6, 8, 12, 16))
    assert np.allclose(counted[0], correct / 32)


def test_a_group_larger_than_the_pool_has_no_answer():
    assert np.isnan(maj_at_k([2, 3], [[1], [2]], [1, 1], [5])).tolist() == [[True, False]]
    assert np.isnan(pass_at_k([4, 5], 2, 5)).tolist() == [True, False]
    with pytest.raises(ValueError, match="best-of-k"):
        best_of_k([1.0, 2.0], [True, False], 3)


def test_impossible_counts_are_errors():
    with pytest.raises(ValueError, match="negative or above n"):
        pass_at_k(4, 5, 1)
    with pytest.raises(ValueError, match="negative"):
        maj_at_k([1], [[-1]], [3], [1])
    with pytest.raises(ValueError, match="group size 0"):
        maj_at_k([1], [[1]], [3], [0])
    with pytest.raises(ValueError, match="each with a score"):
        best_of_k([1.0, float("nan")], [True, False], 1)
    with pytest.raises(ValueError, match="more than the 1000"):
        pass_at_k(2000, 5, 1)

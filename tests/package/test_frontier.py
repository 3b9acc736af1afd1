"""The frontier against its definition, checked pair by pair."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.frontier import (
    amortised_bytes,
    best_within,
    frontier_points,
    largest_batch,
    p_on_frontier,
    pareto,
)

# Few distinct values, so that ties in memory, in accuracy and in both are common.
points = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=25)


def pareto_by_pairs(memory: list[float], accuracy: list[float]) -> list[bool]:
    pairs = list(zip(memory, accuracy, strict=True))
    return [
        not any(dominates(other, pair) for other in pairs) and pair not in pairs[:i]
        for i, pair in enumerate(pairs)
    ]


def undominated(memory: list[float], accuracy: list[float]) -> list[bool]:
    """The definition: points that are equal in both stay together."""
    pairs = list(zip(memory, accuracy, strict=True))
    return [not any(dominates(other, pair) for other in pairs) for pair in pairs]


def dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] >= other[1]


@given(points)
@settings(max_examples=200, deadline=None)
def test_the_frontier_is_what_no_other_point_dominates(pairs):
    memory, accuracy = [m for m, _ in pairs], [a / 5 for _, a in pairs]
    assert pareto(memory, accuracy).tolist() == pareto_by_pairs(memory, accuracy)


@given(points, st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_the_frontiers_of_many_draws_are_each_draws_own_frontier(pairs, draws, seed):
    memory = [m for m, _ in pairs]
    accuracy = np.random.default_rng(seed).integers(0, 4, size=(draws, len(pairs))) / 4
    each = [pareto_by_pairs(memory, draw.tolist()) for draw in accuracy]
    assert pareto(memory, accuracy).tolist() == each
    if pairs:
        some = np.arange(len(pairs))[::2]
        shares = p_on_frontier(memory, accuracy, some)
        stays = [undominated(memory, draw.tolist()) for draw in accuracy]
        assert np.allclose(shares, np.mean(stays, axis=0)[some])


def test_of_points_equal_in_both_the_first_alone_is_on_the_frontier():
    assert pareto([2, 1, 1, 2], [0.9, 0.5, 0.5, 0.9]).tolist() == [True, True, False, False]


def test_more_memory_for_the_same_accuracy_is_off_the_frontier():
    assert pareto([3, 2, 1], [0.5, 0.5, 0.4]).tolist() == [False, True, True]


def test_one_point_is_its_own_frontier_and_none_has_none():
    assert pareto([1], [0.0]).tolist() == [True]
    assert pareto([], []).tolist() == []


def test_a_point_that_wins_in_a_quarter_of_the_draws_has_p_a_quarter():
    draws = np.array([[0.5, 0.6], [0.5, 0.5], [0.5, 0.4], [0.5, 0.3]])
    assert p_on_frontier([1, 2], draws, [0, 1]).tolist() == [1.0, 0.25]


def test_budgets_that_evicting_makes_equal_in_memory_all_stay_where_they_tie():
    # streaming_llm holds the same tokens from some budget on: three budgets of one memory.
    memory = [1, 2, 2, 2, 3]
    draws = np.array([[0.1, 0.5, 0.5, 0.5, 0.5], [0.1, 0.5, 0.6, 0.6, 0.7]])
    assert p_on_frontier(memory, draws, range(5)).tolist() == [1.0, 0.5, 1.0, 1.0, 0.5]
    assert pareto(memory, draws)[0].tolist() == [True, True, False, False, False]


def test_a_batch_shares_the_weights_but_not_the_cache():
    assert amortised_bytes(1000, 30, 1) == 1030
    assert amortised_bytes(1000, 30, 16) == 1000 / 16 + 30
    both = amortised_bytes(np.array([1000.0, 80.0]), np.array([30.0, 4.0]), 4)
    assert both.tolist() == [280.0, 24.0]


def test_the_theoretical_batch_is_what_the_weights_leave_room_for():
    weights_bytes, kv_bytes = np.array([10.0, 10.0, 95.0, 200.0]), np.array([30.0, 45.0, 10.0, 1.0])
    assert largest_batch(100, weights_bytes, kv_bytes).tolist() == [3, 2, 0, 0]


@given(points)
@settings(max_examples=200, deadline=None)
def test_a_frontiers_points_are_listed_with_the_least_memory_first(pairs):
    memory, accuracy = [m for m, _ in pairs], [a for _, a in pairs]
    on = pareto_by_pairs(memory, accuracy)
    expected = sorted((i for i, is_on in enumerate(on) if is_on), key=lambda i: memory[i])
    assert frontier_points(memory, accuracy).tolist() == expected


@given(points, st.integers(-1, 6))
@settings(max_examples=200, deadline=None)
def test_the_best_within_a_memory_is_the_most_accurate_then_the_smallest_then_the_first(
    pairs, limit
):
    memory, accuracy = [m for m, _ in pairs], [a for _, a in pairs]
    fits = [i for i, m in enumerate(memory) if m <= limit]
    expected = min(fits, key=lambda i: (-accuracy[i], memory[i], i), default=None)
    assert best_within(memory, accuracy, limit) == expected

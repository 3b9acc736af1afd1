"""Who is out: places change hands, and what is lost never exceeds epsilon."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raysweep.adaptive.elimination import eliminate


def run(bounds, order, epsilon=0.01):
    count = len(order)
    live, debts = np.ones(count, dtype=np.bool_), np.zeros(count)
    found = eliminate(np.array(bounds, dtype=np.float32), np.array(order), live, debts, epsilon)
    return found, live, debts


def test_a_later_one_that_may_be_better_by_less_than_epsilon_is_out():
    found, live, debts = run([[0, 0.005], [0, 0]], [0, 1])
    assert [(one.out, one.by) for one in found] == [(1, 0)]
    assert live.tolist() == [True, False]
    np.testing.assert_allclose(debts, [0.005, 0])


def test_one_that_may_be_better_by_epsilon_or_more_is_not():
    assert run([[0, 0.0101], [0, 0]], [0, 1])[0] == []


def test_an_earlier_one_is_never_out_for_a_later_one():
    found, _, _ = run([[0, 0.5], [-0.9, 0]], [0, 1])
    assert found == []


def test_margins_add_up_when_a_place_changes_hands():
    bounds = [[0, 0.006, 0.5], [0, 0, 0.006], [0, 0, 0]]
    found, live, _ = run(bounds, [0, 1, 2])
    assert [(one.out, one.by) for one in found] == [(2, 1)]
    assert live.tolist() == [True, True, False]  # 0.006 for itself and 0.006 for the other


@given(arrays(np.float64, 7, elements=st.floats(0, 0.06)), st.permutations(range(7)))
def test_by_exact_differences_no_more_than_epsilon_is_lost_at_any_point_of_the_order(
    accuracy, order
):
    bounds = accuracy[None, :] - accuracy[:, None]
    _, live, _ = run(bounds, order, epsilon=0.02)
    for upto in range(1, 8):
        those = np.array(order[:upto])
        assert accuracy[those[live[those]]].max() >= accuracy[those].max() - 0.02 - 1e-6

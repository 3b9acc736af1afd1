"""Two runs of the same questions: equal ones agree exactly, chance is not told apart, planted gaps are."""

import numpy as np
import pytest
from support.candidates import rival

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.two_runs import FrontierPoint, differences, movements

QUESTIONS = 60


def runs(count: int, gap: float = 0.0, seed: int = 0, samples: int = 8) -> list[Candidates]:
    """Two runs of `count` scenarios; the second one's first scenario is less accurate by `gap`."""
    rng = np.random.default_rng(seed)
    members = tuple(rival(1000 + i, 10, 0.5) for i in range(count))
    able = rng.normal(0, 1.5, (QUESTIONS, 1)) + rng.normal(0, 0.5, (QUESTIONS, count))
    chances = 1 / (1 + np.exp(-able))
    worse = chances.copy()
    worse[:, 0] = np.clip(worse[:, 0] - gap, 0, 1)
    return [
        Candidates(members, rng.binomial(samples, chance) / samples) for chance in (chances, worse)
    ]


def test_equal_runs_differ_by_exactly_nothing():
    here, _ = runs(5)
    found = differences("sums", here, here)
    assert [(one.mean, one.low, one.high) for one in found.both] == [(0.0, 0.0, 0.0)] * 5
    assert found.told_apart == 0 and found.only_here == found.only_there == ()


def test_chance_is_told_apart_in_no_more_than_one_pair_of_runs_in_twenty():
    worlds = 60
    wrong = sum(differences("sums", *runs(100, seed=seed)).told_apart > 0 for seed in range(worlds))
    # 5% plus three standard errors of 60 worlds. One by one, nearly all of them would have some.
    assert wrong / worlds <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)


def test_a_planted_difference_is_told_apart_and_lies_in_its_interval():
    found = differences("sums", *runs(100, gap=0.3, seed=3))
    apart = [one for one in found.both if one.told_apart]
    assert [one.place for one in apart] == [found.both[0].place]
    assert apart[0].mean == pytest.approx(apart[0].here - apart[0].there)
    assert apart[0].low > 0 and apart[0].mean > 0.15


def test_what_one_run_alone_has_is_named_and_compared_with_nothing():
    here, there = runs(4)
    found = differences("sums", here.take([0, 1, 2]), there.take([1, 2, 3]))
    names = [one.configuration.engine_id for one in here.members]
    assert [one.place[0] for one in found.both] == names[1:3]
    assert found.only_here == ((names[0], 100, 1),)
    assert found.only_there == ((names[3], 100, 1),)
    nothing = differences("sums", here.take([0]), there.take([3]))
    assert nothing.both == () and nothing.critical_value == 0


def test_points_of_a_frontier_enter_leave_move_or_stay():
    stays, moves, after, leaves, enters = (
        FrontierPoint(("a", 8, 1), 10.0, 0.5),
        FrontierPoint(("b", 8, 1), 20.0, 0.6),
        FrontierPoint(("b", 8, 1), 20.0, 0.7),
        FrontierPoint(("c", 8, 1), 30.0, 0.8),
        FrontierPoint(("d", 8, 1), 5.0, 0.2),
    )
    found = movements((enters, stays, after), (stays, moves, leaves))
    kinds = [(one.place[0], one.kind) for one in found]
    assert kinds == [("d", "entered"), ("a", "same"), ("b", "moved"), ("c", "left")]

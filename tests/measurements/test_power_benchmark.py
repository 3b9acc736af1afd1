"""The table of thresholds' chances can be made again, in a small cut, and agrees with the stored one."""

from math import comb
from pathlib import Path

import pytest

from benchmarks import planted_worlds
from benchmarks import power as subject
from benchmarks.threshold import KINDS
from raysweep.planning import power
from raysweep.planning.power import Simulated, simulated, threshold_chance

WORLDS = 3


def test_a_small_cut_is_like_the_stored_table(tmp_path: Path, monkeypatch):
    rows = list(subject.simulate((12, 198), (16,), WORLDS, processes=1))
    assert [(row.questions, row.worlds) for row in rows] == [(12, WORLDS), (198, WORLDS)]
    for row in rows:
        assert at_least_as_unlikely(row, threshold_chance(row.questions, 16)) > 0.001
    subject.write(rows, tmp_path / "power.csv")
    monkeypatch.setattr(power, "TABLE", tmp_path / "power.csv")
    assert simulated.__wrapped__() == tuple(rows)


def test_the_stored_table_is_of_the_world_that_the_plan_names():
    truth = KINDS["study-like"].truth
    assert truth.threshold is not None
    below = truth.sizes < 2.5e9
    assert truth.threshold == pytest.approx(3.4e9, rel=0.02) and "3.4 GB" in power.WORLD
    assert truth.mean[below].min() > 0.035 and truth.mean[below].max() < 0.105
    above = truth.mean[truth.sizes >= truth.threshold]
    assert above.min() > -0.045 and above.max() < 0.005


def test_half_widths_of_a_run_are_those_of_unlike_models_with_like_accuracies():
    grid = planted_worlds.study_grid(full_cache_alone=True)
    found = subject.measured(planted_worlds.drawn(planted_worlds.flat(grid), 198, seed=0))
    promised = power.power(198, planted_worlds.SAMPLES)
    assert found == pytest.approx((promised.accuracy, promised.difference), rel=0.1)


def at_least_as_unlikely(row: Simulated, share: float) -> float:
    """The probability of a number of decided worlds that is no likelier than this one.

    The stored share has an error of its own, so it is kept away from 0 and 1.
    """
    p = min(max(share, 0.03), 0.97)
    chances = [
        comb(row.worlds, k) * p**k * (1 - p) ** (row.worlds - k) for k in range(row.worlds + 1)
    ]
    return sum(chance for chance in chances if chance <= chances[row.decided])

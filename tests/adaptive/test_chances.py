"""How likely engines still matter: an order of the work."""

import numpy as np
from support.adaptive_votes import drawn_votes, engines_of_sizes

from raysweep.adaptive.chances import chances

SMALL, MIDDLE, LARGE = ENGINES = engines_of_sizes((1, 4, 8))
BUDGETS = (8, 16)


def found(small: float, middle: float, large: float) -> list[float]:
    planted = dict(zip(ENGINES, (small, middle, large), strict=True))
    by_engine = {one.engine_id: np.array([chance, chance]) for one, chance in planted.items()}
    votes = drawn_votes(ENGINES, by_engine, questions=60, n=8)
    known = chances(votes, ENGINES, BUDGETS, batch_sizes=(1, 16))
    return [known[one.engine_id] for one in ENGINES]


def test_an_engine_that_a_smaller_one_beats_hardly_matters():
    small, middle, large = found(0.6, 0.3, 0.9)
    assert small == 1.0  # nothing else takes so little memory
    assert middle < 0.01 < 0.99 < large


def test_engines_that_are_alike_may_matter():
    _, middle, large = found(0.6, 0.6, 0.6)
    assert 0.2 < middle < 0.8 and 0.2 < large < 0.8


def test_engines_without_votes_have_no_chance_here():
    votes = drawn_votes([SMALL], {SMALL.engine_id: np.array([0.5, 0.5])}, questions=9, n=4)
    assert set(chances(votes, ENGINES, BUDGETS, (1,))) == {SMALL.engine_id}
    assert chances({}, ENGINES, BUDGETS, (1,)) == {}

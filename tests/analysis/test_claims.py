"""Claims after a search: what their intervals and p-values promise."""

import numpy as np
import pytest

from benchmarks.claims import (
    eviction_named,
    eviction_plainly,
    eviction_row,
    votes_first_better,
    votes_row,
)
from benchmarks.planted_worlds import drawn, flat, study_grid, votes_lead
from raysweep.analysis.claims import Claim, judge
from raysweep.analysis.halving import Differences
from raysweep.analysis.uncertainty import paired_difference


def stable(values: np.ndarray) -> Differences:
    """Differences whose halvings all choose the same, so that only questions vary."""
    return Differences(values, np.tile(values.mean(axis=0), (8, 1)))


def normal(columns: int, questions: int = 30, mean: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.2, (questions, columns))


@pytest.mark.parametrize("questions", [12, 30, 198])
def test_a_single_claim_has_students_interval(questions):
    values = normal(1, questions, mean=0.1)
    (claim,) = judge(stable(values), seed=0)
    expected = paired_difference(values[:, 0], np.zeros(questions))
    assert claim.effect == pytest.approx(float(expected.mean))
    assert claim.high - claim.low == pytest.approx(float(expected.high - expected.low), rel=0.08)


def test_more_comparisons_make_each_claim_harder():
    alone, many = normal(1, mean=0.1), normal(200, seed=1)
    (one,) = judge(stable(alone), seed=0)
    among = judge(stable(np.concatenate([alone, many], axis=1)), seed=0)[0]
    assert one.sign == 1
    assert among.sign == 0
    assert among.effect == pytest.approx(one.effect)
    assert one.p_value is not None and among.p_value is not None
    assert one.p_value < 0.05 < among.p_value
    assert (one.compared, among.compared) == (1, 201)


def test_copies_of_a_comparison_cost_nothing():
    values = normal(1, mean=0.1)
    (one,) = judge(stable(values), seed=0)
    assert judge(stable(np.tile(values, (1, 50))), seed=0)[0].low == pytest.approx(one.low)


def test_all_intervals_hold_together_in_19_of_20_worlds():
    means = np.linspace(-0.3, 0.3, 40)
    missed = 0
    for seed in range(200):
        claims = judge(stable(normal(40, seed=seed) + means), seed=0)
        missed += any(
            not claim.low <= mean <= claim.high for claim, mean in zip(claims, means, strict=True)
        )
    assert 2 <= missed <= 18


def test_choices_that_change_from_halving_to_halving_widen_an_interval():
    values = normal(1, mean=0.1)
    (sure,) = judge(stable(values), seed=0)
    shaky = Differences(values, np.random.default_rng(0).normal(0.1, 0.1, (8, 1)))
    (wider,) = judge(shaky, seed=0)
    assert 1.2 < (wider.high - wider.low) / (sure.high - sure.low) <= np.sqrt(2) + 1e-9


def test_few_questions_decide_nothing():
    claims = judge(stable(np.ones((7, 2))), seed=0)
    assert claims == (Claim(1.0, -1.0, 1.0, 1.0, 2),) * 2
    values = np.ones((30, 1))
    values[7:] = np.nan
    assert judge(stable(values), seed=0)[0].sign == 0


def test_what_is_the_same_on_every_question_is_certain():
    (none, some) = judge(stable(np.tile([0.0, 0.25], (20, 1))), seed=0)
    assert (none.effect, none.low, none.high, none.p_value, none.sign) == (0, 0, 0, 1, 0)
    assert (some.low, some.high, some.sign) == (0.25, 0.25, 1)


def test_what_differs_by_rounding_alone_names_no_side():
    rounding = np.random.default_rng(0).uniform(0.5, 1.5, (20, 3)) * [1e-17, -1e-17, 1e-13]
    for claim in judge(stable(rounding), seed=0):
        assert (claim.effect, claim.low, claim.high, claim.sign) == (0, 0, 0, 0)
        assert claim.p_value == 1


def test_a_seed_gives_one_answer():
    values = stable(normal(5))
    assert judge(values, seed=4) == judge(values, seed=4)


@pytest.mark.slow
def test_where_nothing_differs_hardly_any_sentence_names_a_side():
    worlds = [drawn(flat(study_grid()), 30, seed) for seed in range(6)]
    assert sum(eviction_plainly(world) for world in worlds[:4]) >= 2
    for claims in (votes_row, eviction_row, eviction_named):
        assert sum(map(claims, worlds)) <= 1


@pytest.mark.slow
def test_votes_that_lead_by_8_points_are_found_with_198_questions():
    worlds = [drawn(votes_lead(study_grid()), 198, seed) for seed in range(4)]
    assert all(map(votes_first_better, worlds))

"""What a plan promises of questions and samples is what intervals of simulated runs turn out to be."""

import numpy as np
import pytest

from benchmarks import planted_worlds
from raysweep.analysis.uncertainty import paired_difference, score_interval
from raysweep.planning import power as subject
from raysweep.planning.power import (
    DIFFICULTY,
    INTERACTION,
    Simulated,
    power,
    simulated,
    threshold_chance,
    variances,
)

BUDGET = 3  # one of the grid's token budgets, and G = 1


def intervals(questions: int, samples: int, worlds: int) -> tuple[float, float]:
    """The mean half-widths of accuracies and of differences in worlds in which all engines are alike."""
    world = planted_worlds.flat(planted_worlds.study_grid(full_cache_alone=True))
    widths = []
    for seed in range(worlds):
        found = planted_worlds.drawn(world, questions, seed, samples).scores
        scores = found.reshape(questions, len(world.grid.engines), -1, 7)[:, :, BUDGET, 0]
        told = score_interval(scores), paired_difference(scores[:, 1:], scores[:, [0]])
        widths.append([(one.high - one.low).mean() / 2 for one in told])
    accuracy, difference = np.mean(widths, axis=0)
    return float(accuracy), float(difference)


@pytest.mark.parametrize(
    ("questions", "samples", "worlds"), [(12, 16, 30), (30, 16, 20), (30, 32, 20), (198, 16, 4)]
)
def test_promised_half_widths_are_those_of_the_intervals(questions: int, samples: int, worlds: int):
    promised = power(questions, samples)
    accuracy, difference = intervals(questions, samples, worlds)
    assert promised.accuracy == pytest.approx(accuracy, rel=0.05)
    assert promised.difference == pytest.approx(difference, rel=0.05)


def test_questions_and_engines_are_assumed_as_in_the_planted_worlds():
    world = planted_worlds.flat(planted_worlds.study_grid(full_cache_alone=True))
    assert (world.difficulty, world.interaction) == ((0.0, DIFFICULTY), INTERACTION)


def test_the_quadrature_agrees_with_random_draws():
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0, DIFFICULTY, 400_000)
    one, other = (
        1 / (1 + np.exp(difficulty - rng.normal(0, INTERACTION, difficulty.size))) for _ in range(2)
    )
    known = variances()
    assert known.between == pytest.approx(one.var(), rel=0.01)
    assert known.within == pytest.approx((one * (1 - one)).mean(), rel=0.01)
    assert known.difference == pytest.approx((one - other).var(), rel=0.01)


def test_more_questions_buy_more_than_more_samples():
    now, wider, deeper = power(30, 16), power(60, 16), power(30, 32)
    assert wider.accuracy < 0.75 * now.accuracy
    assert 0.95 * now.accuracy < deeper.accuracy < now.accuracy
    assert wider.difference < deeper.difference < now.difference


def test_questions_that_are_solved_always_or_never_make_intervals_half_as_wide_again():
    known = variances()
    typical = known.between + known.within / 16
    assert 1.4 < (0.25 / typical) ** 0.5 < 1.5


def test_a_single_question_has_no_power():
    with pytest.raises(ValueError, match="says nothing of others"):
        power(1, 16)


# Thresholds


def test_chances_are_interpolated_between_numbers_and_kept_beyond_them(
    monkeypatch: pytest.MonkeyPatch,
):
    rows = (
        *(Simulated(n, 16, 10, decided) for n, decided in ((30, 0), (120, 4), (480, 10))),
        *(Simulated(n, 64, 10, decided) for n, decided in ((30, 2), (120, 8), (480, 10))),
    )
    monkeypatch.setattr(subject, "simulated", lambda: rows)
    assert threshold_chance(120, 16) == pytest.approx(0.4)
    assert threshold_chance(60, 16) == pytest.approx(0.2)
    assert threshold_chance(120, 32) == pytest.approx(0.6)
    assert threshold_chance(8, 16) == 0 and threshold_chance(9_999, 8) == 1


def test_the_stored_table_has_the_benchmarks_of_the_study_and_grows_with_the_questions():
    rows = simulated()
    assert {row.questions for row in rows} >= {30, 198} and {row.samples for row in rows} >= {16}
    assert all(0 <= row.decided <= row.worlds for row in rows)
    assert threshold_chance(30, 16) < threshold_chance(198, 16)

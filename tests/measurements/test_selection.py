"""A seeded cut of `python -m benchmarks.selection`: the study's 18 engines with the full cache."""

from functools import lru_cache

import numpy as np

from benchmarks.planted_worlds import flat, study_grid
from benchmarks.selection import Figures, Run, calibration, figures, places, structured, table

WORLDS = 6


@lru_cache
def structured_runs() -> list[Run]:
    worlds = (structured(seed, full_cache_alone=True) for seed in range(WORLDS))
    return [Run.of(world, 30, seed) for seed, world in enumerate(worlds)]


@lru_cache
def structured_worlds() -> list[Figures]:
    return [figures(run) for run in structured_runs()]


@lru_cache
def flat_worlds(questions: int) -> list[Figures]:
    world = flat(study_grid(full_cache_alone=True))
    return [figures(Run.of(world, questions, seed)) for seed in range(WORLDS)]


def mean(worlds: list[Figures], rule: str, figure: str) -> float:
    values = [world[rule, figure] for world in worlds]
    return float(np.nanmean(values))


def test_what_is_reported_is_not_flattered_by_the_choice():
    found = structured_worlds()
    assert mean(found, "measured", "bias of the reported accuracy") > 0.02
    assert abs(mean(found, "shrunken", "bias of the reported accuracy")) < 0.015
    assert abs(mean(found, "shrunken", "bias over the frontier's points")) < 0.015


def test_the_recommended_is_nearer_to_the_truly_best():
    found = structured_worlds()
    assert mean(found, "shrunken", "regret") < 0.75 * mean(found, "measured", "regret")


def test_intervals_of_what_is_expected_cover_the_truth():
    # Within a world all intervals cover or miss together, so a few worlds say little to the percent.
    for worlds in (structured_worlds(), flat_worlds(30)):
        measured, expected = (
            mean(worlds, rule, "covered by its interval") for rule in ("measured", "shrunken")
        )
        assert expected >= 0.85
        assert expected >= measured


def test_of_equally_good_ones_few_are_told_apart_from_the_best():
    for questions in (30, 198):
        worlds = flat_worlds(questions)
        assert mean(worlds, "measured", "told apart, of those as good") > 0.2
        assert mean(worlds, "shrunken", "told apart, of those as good") <= 0.07


def test_the_table_has_both_rules_side_by_side():
    text = table(structured_worlds(), "a cut")
    assert f"## a cut: {WORLDS} worlds" in text
    assert text.count("\n| ") == 11


def test_the_share_of_draws_in_which_a_point_stays_is_how_often_it_is_truly_on_the_frontier():
    found = [places(run) for run in structured_runs()]
    stays, truly = (np.concatenate(one) for one in zip(*found, strict=True))
    # On the study's full grid the two are nearer to each other than on this small part of it.
    assert abs(stays.mean() - truly.mean()) < 0.2
    low, high = truly[stays < 0.5].mean(), truly[stays >= 0.5].mean()
    assert low < 0.55 < high
    text = calibration(found)
    assert text.count("\n| ") >= 5

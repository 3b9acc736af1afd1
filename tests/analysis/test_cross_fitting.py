"""What to expect of the best within a memory: cross-fitted, never falling, as measured without a choice."""

import numpy as np
import pytest
from support.candidates import rival

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.cross_fitting import HALVINGS, CrossFit, isotonic
from raysweep.frontier import frontier_points


def equals(rows: int, questions: int = 40, seed: int = 0) -> Candidates:
    """Coins, of which each is right half of the time; too few for anything to be shrunken."""
    members = tuple(rival(10, index + 1, 0.5, token_budget=index + 1) for index in range(rows))
    scores = np.random.default_rng(seed).binomial(1, 0.5, (questions, rows)).astype(float)
    return Candidates(members, scores)


def expected(candidates: Candidates):
    points = candidates.frontier(1)
    everyone = np.arange(len(candidates))
    return CrossFit.of(candidates).expected(candidates.memory_bytes(1), everyone, points)


def test_most_of_the_luck_of_the_best_of_equals_is_not_expected_of_it():
    measured, cross_fitted = [], []
    for seed in range(40):
        candidates = equals(30, seed=seed)
        measured.append(candidates.accuracy[candidates.frontier(1)[-1]])
        cross_fitted.append(expected(candidates).accuracy.mean[-1])
    assert np.mean(measured) > 0.62
    assert 0.48 < np.mean(cross_fitted) < 0.56


def test_each_half_is_judged_by_what_the_other_half_chose():
    candidates = equals(12, questions=9)
    cross_fit = CrossFit.of(candidates)
    memory, everyone = candidates.memory_bytes(1), np.arange(12)
    points = frontier_points(memory, candidates.estimate)
    by_hand = np.zeros((9, len(points)))
    for half in cross_fit.half > 0:
        for at, point in enumerate(points):
            fits = np.flatnonzero(memory <= memory[point])
            for own, others in ((half, ~half), (~half, half)):
                best = fits[np.round(candidates.scores[others][:, fits].mean(axis=0), 6).argmax()]
                by_hand[own, at] += candidates.scores[own, best] / HALVINGS
    found = cross_fit.expected(memory, everyone, points)
    assert found.scores == pytest.approx(isotonic(by_hand))


def test_a_single_configuration_is_expected_to_be_what_it_was_measured():
    candidates = equals(1)
    found = expected(candidates)
    assert found.accuracy.mean.tolist() == candidates.accuracy.tolist()


def test_too_few_questions_to_halve_choose_and_measure():
    candidates = equals(5, questions=3)
    points = candidates.frontier(1)
    assert expected(candidates).accuracy.mean == pytest.approx(candidates.accuracy[points])


def test_expectations_never_fall_as_memory_grows_and_keep_their_mean():
    for seed in range(10):
        found = expected(equals(30, seed=seed))
        assert (np.diff(found.accuracy.mean) >= 0).all()
        assert found.accuracy.mean.mean() == pytest.approx(found.scores.mean(), abs=1e-9)
        assert (found.accuracy.low <= found.accuracy.mean).all()
        assert (found.accuracy.mean <= found.accuracy.high).all()


def test_neighbours_that_fall_share_their_mean():
    scores = np.array([[0.2, 0.6, 0.4, 0.1, 0.9], [0.2, 0.8, 0.4, 0.3, 0.9]])
    found = isotonic(scores)
    assert found[:, 0].tolist() == [0.2, 0.2]
    assert found[:, 4].tolist() == [0.9, 0.9]
    for place in (1, 2, 3):
        assert found[:, place] == pytest.approx(scores[:, 1:4].mean(axis=1))


def test_accuracies_and_gains_are_of_the_same_scores():
    for seed in range(10):
        found = expected(equals(30, seed=seed))
        assert found.scores.mean(axis=0) == pytest.approx(found.accuracy.mean)
        same = (np.diff(found.scores, axis=1) == 0).all(axis=0)
        assert found.gains.tolist() == [True, *~same]


def test_a_half_does_not_choose_what_only_the_other_half_measured():
    candidates = equals(6, questions=12)
    cross_fit = CrossFit.of(candidates)
    candidates.scores[:, 5] = 1.0
    for half in cross_fit.half > 0:
        scores = candidates.scores.copy()
        scores[~half, 5] = np.nan
        unseen = Candidates(candidates.members, scores).shrinkage.estimates(
            np.stack([half, ~half]).astype(float)
        )
        assert unseen[0, 5] == 1
        assert unseen[1, 5] == -np.inf


def test_what_was_never_measured_apart_keeps_its_measured_accuracy():
    candidates = equals(6, questions=12)
    candidates.scores[1:, 0] = np.nan
    found = expected(candidates)
    assert np.isfinite(found.accuracy.mean).all()

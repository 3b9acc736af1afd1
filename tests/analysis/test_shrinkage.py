"""The estimates that choose: nearer to the truth, and the measured accuracies where little is known."""

import numpy as np
import pytest
from support.candidates import contest, rival

from benchmarks.planted_worlds import drawn, off_the_law, study_grid, study_like, truth
from raysweep.analysis.candidates import Candidates
from raysweep.analysis.shrinkage import FEWEST_MEMBERS, effective_questions
from raysweep.analysis.uncertainty import FEWEST_QUESTIONS, bootstrap_weights

GRID = study_grid(full_cache_alone=True)


def world(questions: int = 30, seed: int = 1) -> tuple[Candidates, np.ndarray]:
    """The scores of a run of the study's grid with the full cache, and what is true."""
    planted = off_the_law(study_like(GRID), 0.2, seed)
    return drawn(planted, questions, seed), truth(planted)


def test_estimates_are_nearer_to_the_truth_than_what_was_measured():
    errors = []
    for seed in range(6):
        candidates, true = world(seed=seed)
        # Easy or hard questions move all alike, and change no choice.
        errors.append([(one - true).std() for one in (candidates.accuracy, candidates.estimate)])
    measured, estimated = np.mean(errors, axis=0)
    assert estimated < 0.9 * measured


def test_the_more_questions_the_nearer_estimates_are_to_what_was_measured():
    few, many = (
        np.abs(candidates.estimate - candidates.accuracy).mean()
        for candidates, _ in (world(30), world(1_000))
    )
    assert many < few / 2


def test_the_order_of_the_rows_changes_no_estimate():
    candidates, _ = world()
    order = np.random.default_rng(0).permutation(len(candidates))
    assert (candidates.take(order).estimate == candidates.estimate[order]).all()


def test_a_handful_of_configurations_or_questions_keeps_its_measured_accuracies():
    candidates, _ = world()
    few = candidates.take(range(FEWEST_MEMBERS - 1))
    assert few.estimate == pytest.approx(few.accuracy, abs=1e-6)
    one = Candidates(candidates.members, candidates.scores[:1])
    assert one.estimate == pytest.approx(one.accuracy, abs=1e-6)
    below = Candidates(candidates.members, candidates.scores[: FEWEST_QUESTIONS - 1])
    assert below.estimate == pytest.approx(below.accuracy, abs=1e-6)
    single = contest(rival(10, 1, 0.4))
    assert single.estimate.tolist() == [0.4]


def test_budgets_that_scored_alike_on_every_question_share_an_estimate():
    candidates, _ = world()
    budgets = candidates.token_budgets
    engines = np.array([one.engine_id for one in candidates.configurations])
    own = np.flatnonzero(
        (engines == engines[0]) & (candidates.group_sizes == 4) & (budgets > 9_000)
    )
    scores = candidates.scores.copy()
    scores[:, own] = scores[:, own[:1]]
    alike = Candidates(candidates.members, scores)
    assert len(set(alike.estimate[own].tolist())) == 1 < len(own)
    best = alike.frontier(1)
    assert not set(own[1:].tolist()) & set(best.tolist())


def test_a_question_that_few_were_asked_is_no_obstacle():
    candidates, _ = world()
    candidates.scores[5:, ::7] = np.nan
    assert np.isfinite(candidates.estimate).all()
    assert ((candidates.estimate >= 0) & (candidates.estimate <= 1)).all()


def test_where_all_score_alike_all_are_estimated_so():
    candidates, _ = world()
    for score in (0.0, 0.5, 1.0):
        alike = Candidates(candidates.members, np.full_like(candidates.scores, score))
        assert alike.estimate == pytest.approx(score, abs=0.02)
        assert len(alike.frontier(1)) == 1


def test_what_was_measured_on_one_question_keeps_nothing_of_its_luck():
    candidates, _ = world()
    scores = candidates.scores.copy()
    scores[:, 100] = np.nan
    scores[0, 100] = 1.0
    lucky = Candidates(candidates.members, scores)
    left_out = candidates.scores.copy()
    left_out[:, 100] = np.nan
    left_out[0, 100] = 0.0
    unlucky = Candidates(candidates.members, left_out)
    # It bends the surface a little, and that is all.
    assert abs(lucky.estimate[100] - unlucky.estimate[100]) < 0.05
    engines = np.array([one.engine_id for one in candidates.configurations])
    others = engines != engines[100]
    assert np.abs(lucky.estimate - candidates.estimate)[others].mean() < 0.002


def test_what_was_measured_on_no_question_that_counts_is_never_chosen():
    candidates, _ = world()
    candidates.scores[:15, 7] = np.nan
    halves = np.repeat([[1.0, 0.0], [0.0, 1.0]], 15, axis=1)
    found = candidates.shrinkage.estimates(halves)
    assert found[0, 7] == -np.inf
    assert np.isfinite(found[1, 7])
    assert np.isfinite(np.delete(found, 7, axis=1)).all()


def test_a_draw_says_as_much_as_half_of_its_questions():
    halves = np.repeat([[1.0, 0.0]], 15, axis=1)
    assert effective_questions(halves).tolist() == [15]
    drawn_alike = effective_questions(bootstrap_weights(30, 500, 1))
    assert drawn_alike.mean() == pytest.approx(15.5, abs=0.5)


def test_estimates_that_were_stored_are_used_unless_one_lacks():
    candidates, _ = world()
    stored = np.arange(len(candidates)) / len(candidates)
    read = Candidates(candidates.members, candidates.scores, stored)
    assert read.estimate is stored
    assert read.take([3, 1]).estimate.tolist() == stored[[3, 1]].tolist()
    some = stored.copy()
    some[2] = np.nan
    lacking = Candidates(candidates.members, candidates.scores, some)
    assert (lacking.estimate == candidates.estimate).all()
    assert lacking.take([3, 1]).estimate.tolist() == stored[[3, 1]].tolist()

"""Choosing on one half and judging on the other, against a slow twin."""

import numpy as np
import pytest
from support.candidates import contest, rival

from benchmarks.planted_worlds import drawn, study_grid, study_like
from raysweep.analysis.candidates import Candidates
from raysweep.analysis.halving import Halvings, Pairing, pairings

EVEN, ODD = np.arange(0, 30, 2), np.arange(1, 30, 2)


def noise(questions: int = 21, seed: int = 0) -> Candidates:
    """Thirty configurations that are equal but for chance."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 50, (30, 2)).tolist()
    return Candidates(tuple(rival(a, b, 0.5) for a, b in sizes), rng.random((questions, 30)))


def slowly(candidates: Candidates, halvings: Halvings, one: Pairing) -> tuple[list, list]:
    """Each question's mean difference where it judges, and that of each halving and its exchange."""
    of_question: list[list[float]] = [[] for _ in candidates.scores]
    of_row = []
    for judges in halvings.judges:
        chosen_on, judged_on = candidates.scores[~judges], candidates.scores[judges]
        first, second = (
            max(side.tolist(), key=lambda member: chosen_on[:, member].mean())
            for side in (one.one, one.other)
        )
        difference = judged_on[:, first] - judged_on[:, second]
        of_row.append(difference.mean())
        for question, value in zip(np.flatnonzero(judges), difference, strict=True):
            of_question[question].append(value)
    half = len(of_row) // 2
    pairs = [(a + b) / 2 for a, b in zip(of_row[:half], of_row[half:], strict=True)]
    return [np.mean(values) for values in of_question], pairs


def test_differences_are_those_of_a_loop_over_halvings():
    candidates = noise()
    halvings = Halvings.of(candidates, seed=3, halvings=8)
    held = pairings(candidates, 1, EVEN, ODD)
    found = halvings.differences(held)
    assert len(held) > 3
    for column, one in enumerate(held):
        by_question, by_halving = slowly(candidates, halvings, one)
        assert np.allclose(found.by_question[:, column], by_question)
        assert np.allclose(found.by_halving[:, column], by_halving)


def test_a_question_never_chooses_what_it_judges():
    halvings = Halvings.of(noise(), seed=0, halvings=8)
    assert (halvings.judges[:8] != halvings.judges[8:]).all()


def test_the_best_of_many_equals_is_no_better_than_the_only_other():
    one, other = np.arange(29), np.array([29])
    fits = [Pairing(100.0, one, other)]
    worlds = [noise(seed=seed) for seed in range(60)]
    honest = [Halvings.of(w, 0, 16).differences(fits).by_question.mean() for w in worlds]
    flattered = [w.accuracy[one].max() - w.accuracy[29] for w in worlds]
    assert np.mean(flattered) > 0.1
    assert abs(np.mean(honest)) < 0.03


def test_pairings_start_where_both_sides_fit_and_end_where_all_do():
    candidates = contest(
        rival(10, 10, 0.5), rival(10, 90, 0.5), rival(30, 5, 0.5), rival(30, 6, 0.5)
    )
    held = pairings(candidates, 1, np.array([0, 1]), np.array([2, 3]))
    assert [one.memory_bytes for one in held] == [35, 36, 100]
    assert [one.one.tolist() for one in held] == [[0], [0], [0, 1]]
    assert [one.other.tolist() for one in held] == [[2], [2, 3], [2, 3]]
    assert pairings(candidates, 1, np.array([0, 1]), np.array([], dtype=np.intp)) == []


def test_of_equally_accurate_configurations_that_of_least_memory_is_chosen():
    candidates = contest(rival(10, 90, 0.5), rival(10, 10, 0.5), rival(10, 10, 0.1))
    (last,) = pairings(candidates, 1, np.array([0, 1]), np.array([2]))[-1:]
    assert last.one.tolist() == [1, 0]


def test_a_half_chooses_by_the_estimates_that_the_frontier_has():
    candidates = drawn(study_like(study_grid(full_cache_alone=True)), 30, 0)
    halvings = Halvings.of(candidates, halvings=4)
    own = candidates.shrinkage.estimates((~halvings.judges).astype(float))
    assert np.array_equal(halvings.estimate, own)
    assert not np.allclose(own[0], candidates.scores[~halvings.judges[0]].mean(axis=0), atol=0.05)


def test_a_half_never_chooses_what_only_the_judges_have_measured():
    candidates = noise(questions=20)
    scores = candidates.scores.copy()
    half = ~Halvings.of(candidates, 0, 1).judges[0]
    # The best by far, as far as the judges know.
    scores[:, 0] = np.where(half, np.nan, 1.0)
    halvings = Halvings.of(Candidates(candidates.members, scores), 0, 1)
    assert halvings.estimate[0, 0] == -np.inf
    assert halvings.estimate[1, 0] == 1
    assert np.isfinite(halvings.estimate[:, 1:]).all()


def test_halvings_serve_all_questions_that_are_asked_of_candidates():
    candidates = noise()
    assert candidates.halvings is candidates.halvings
    assert np.array_equal(candidates.halvings.estimate, Halvings.of(candidates).estimate)


def test_questions_without_samples_do_not_count():
    candidates = noise()
    scores = candidates.scores.copy()
    scores[0] = np.nan
    scores[1, EVEN] = np.nan
    found = Halvings.of(Candidates(candidates.members, scores), 0, 8).differences(
        pairings(candidates, 1, EVEN, ODD)
    )
    assert np.isnan(found.by_question[:2]).all()
    assert not np.isnan(found.by_question[2:]).any()
    assert not np.isnan(found.by_halving).any()


def test_means_and_contrasts_of_pairings_are_those_of_their_columns():
    found = Halvings.of(noise(), 0, 8).differences(pairings(noise(), 1, EVEN, ODD))
    pairs = found.means([[0, 1], [2]])
    assert np.allclose(pairs.by_question[:, 0], found.by_question[:, :2].mean(axis=1))
    gap = pairs.less(0, 1)
    assert np.allclose(gap.by_halving[:, 0], pairs.by_halving[:, 0] - pairs.by_halving[:, 1])
    assert pairs.beside(gap).by_question.shape == (21, 3)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_scores_do_not_shape_the_scale_of_memories(batch_size):
    one, other = noise(seed=0), noise(seed=0)
    other = Candidates(other.members, other.scores[::-1] ** 3)
    memories = [
        [held.memory_bytes for held in pairings(each, batch_size, EVEN, ODD)]
        for each in (one, other)
    ]
    assert memories[0] == memories[1] == sorted(set(memories[0]))

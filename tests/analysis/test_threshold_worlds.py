"""A small cut of `benchmarks.threshold`: verdicts in worlds whose truth is known, on the study's own grid."""

import pytest

from benchmarks.threshold import KINDS, QUESTIONS, Counted, verdict

WORLDS = 2


def counted(name: str, questions: int = QUESTIONS) -> tuple[Counted, Counted]:
    """Of the answers by halves, and of the smooth ones."""
    kind = KINDS[name]
    found = [verdict(kind, questions, seed) for seed in range(WORLDS)]
    smooth = [one.smooth for one in found if one.smooth]
    return Counted.of(found, kind.truth.threshold), Counted.of(smooth, kind.truth.threshold)


def test_a_threshold_like_the_studys_is_mostly_decided_and_rightly():
    by_halves, smooth = counted("study-like")
    assert by_halves.decided >= 1 and smooth.decided == WORLDS
    assert by_halves.wrong == smooth.wrong == 0


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.has_threshold])
def test_nothing_is_decided_where_nothing_changes_once(name: str):
    for one in counted(name):
        assert one.decided == 0


def test_the_truth_of_a_world_is_what_was_planted():
    truth = KINDS["study-like"].truth
    assert truth.threshold is not None and 2e9 < truth.threshold < 4.2e9
    below = truth.sizes < truth.threshold
    assert (truth.mean[below] > -0.01).all() and (truth.mean[~below] < 0.005).all()
    assert (truth.mean[truth.sizes < 2.5e9] > 0.035).all()
    assert KINDS["flat"].truth.threshold is None

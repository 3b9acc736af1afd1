"""A smooth surface of accuracy is closer to the truth than accuracies are, and says where it does not fit."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.planted_worlds import World, drawn, flat, off_the_law, study_grid, study_like, truth
from raysweep.analysis.candidates import Candidates
from raysweep.analysis.surface import Surface, design, deviations_p_value
from raysweep.analysis.uncertainty import bootstrap_means, bootstrap_weights

FULL_CACHE = study_grid(full_cache_alone=True)


def share(candidates: Candidates, keep: np.ndarray) -> Candidates:
    return candidates.take(np.flatnonzero(keep).tolist())


@pytest.mark.parametrize("world", [flat(FULL_CACHE), study_like(FULL_CACHE)], ids=["flat", "law"])
def test_it_is_nearer_to_the_truth_than_what_was_measured(world: World):
    true = truth(world)
    for seed in range(3):
        candidates = drawn(world, 60, seed)
        raw, smooth = (
            np.std(accuracy - true)
            for accuracy in (candidates.accuracy, Surface(candidates).accuracy)
        )
        assert smooth < raw


def test_a_draw_is_refitted_as_if_it_were_the_data():
    candidates = drawn(study_like(FULL_CACHE), 198, 0)
    weights = bootstrap_weights(198, 5, 0)
    refitted = Surface(candidates).fitted(bootstrap_means(candidates.scores, weights))
    for draw, weight in zip(refitted, weights, strict=True):
        asked = np.repeat(np.arange(198), np.round(weight * 198).astype(int))
        again = Surface(Candidates(candidates.members, candidates.scores[asked]))
        assert np.abs(draw - again.accuracy).max() < 0.02
    (same,) = Surface(candidates).fitted(candidates.accuracy[None])
    assert np.allclose(same, Surface(candidates).accuracy)


def test_accuracies_of_0_and_1_stay_within_bounds():
    candidates = drawn(study_like(FULL_CACHE), 12, 0)
    for value in (0.0, 1.0):
        all_alike = Candidates(candidates.members, np.full_like(candidates.scores, value))
        surface = Surface(all_alike)
        fitted = surface.fitted(np.stack([all_alike.accuracy, candidates.accuracy]))
        assert ((fitted > 0) & (fitted < 1)).all()
        assert np.abs(fitted[0] - value).max() < 0.05


def test_few_sizes_or_budgets_have_fewer_terms():
    whole = drawn(study_like(FULL_CACHE), 30, 0)
    sizes, budgets = np.unique(whole.weights_bytes), np.unique(whole.token_budgets)
    cuts = [
        whole,
        share(whole, np.isin(whole.weights_bytes, sizes[:8]) & (whole.token_budgets > 10_000)),
        share(whole, whole.group_sizes == 1),
        share(whole, (whole.token_budgets == budgets[0]) & (whole.group_sizes == 1)),
        share(whole, (whole.weights_bytes == sizes[0]) & (whole.group_sizes == 4)),
        share(whole, (whole.weights_bytes == sizes[0]) & (whole.token_budgets == budgets[0])),
        whole.take([0]),
    ]
    terms = [Surface(one).terms for one in cuts]
    assert terms == sorted(terms, reverse=True)
    for one in cuts:
        assert design(one).shape[0] == len(one)
        assert np.isfinite(Surface(one).accuracy).all()


def test_policies_of_one_model_have_curves_of_their_own():
    whole = drawn(study_like(study_grid()), 60, 0)
    policies = ("full", "r_kv-4096", "quantized-2")
    of_one = [
        at
        for at, member in enumerate(whole.members)
        if member.configuration.kv_policy in policies
        and member.configuration.engine_id.startswith("qwen3-8b.bf16")
    ]
    candidates = whole.take(of_one)
    smooth = Surface(candidates).accuracy
    longest = (candidates.token_budgets == 30_000) & (candidates.group_sizes == 1)
    assert len(of_one) == 3 * 56 and len(np.unique(smooth[longest].round(6))) == 3
    assert np.abs(smooth - candidates.accuracy).mean() < 0.03


def lack_of_fit(candidates: Candidates, weights: np.ndarray) -> float:
    surface, means = Surface(candidates), bootstrap_means(candidates.scores, weights)
    here, drawn = candidates.accuracy - surface.accuracy, means - surface.fitted(means)
    return deviations_p_value(here, drawn, len(candidates.scores))


def test_a_flat_world_is_seldom_said_not_to_fit():
    weights = bootstrap_weights(100, 200, 0)
    p = [lack_of_fit(drawn(flat(FULL_CACHE), 100, seed), weights) for seed in range(40)]
    assert np.mean(np.array(p) < 0.05) <= 0.1
    assert np.mean(np.array(p) < 0.5) >= 0.1


def test_engines_off_the_law_are_seen():
    weights = bootstrap_weights(198, 200, 0)
    world = replace(off_the_law(study_like(FULL_CACHE), 1.0, 3), interaction=0.3)
    assert lack_of_fit(drawn(world, 198, 0), weights) < 0.05

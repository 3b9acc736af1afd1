"""The study's questions, on scenarios made by hand whose answers can be read off."""

from dataclasses import replace

import numpy as np
from support.candidates import contest, rival

from benchmarks.planted_worlds import drawn, study_grid, study_like
from raysweep.analysis.candidates import Candidate, Candidates
from raysweep.analysis.claims import judge
from raysweep.analysis.halving import SEED, pairings
from raysweep.analysis.study import (
    compare,
    composition,
    evicting_by_weights,
    eviction_or_bits,
    parallel_scaling,
    serial_scaling,
    theoretical_batches,
)
from raysweep.analysis.uncertainty import paired_difference


def test_serial_scaling_has_one_sample_over_the_budget_for_each_engine():
    rows = serial_scaling(
        contest(
            rival(10, 2, 0.4, token_budget=200),
            rival(10, 1, 0.2),
            rival(10, 4, 0.5, group_size=4),
            rival(30, 1, 0.6),
        )
    )
    assert [(row["weights_bytes"], row["token_budget"]) for row in rows] == [
        (10, 100),
        (10, 200),
        (30, 100),
    ]


def test_composition_says_what_each_point_of_the_frontier_is_made_of():
    candidates = contest(rival(10, 10, 0.2), rival(10, 30, 0.1), rival(80, 20, 0.6))
    rows = composition(candidates, batch_size=1)
    assert [(row["memory_bytes"], row["weights_share"]) for row in rows] == [(20, 0.5), (100, 0.8)]
    shared = composition(candidates, batch_size=8)
    assert [row["memory_bytes"] for row in shared] == [11.25, 30]
    assert shared[1]["weights_share"] == 10 / 30


def test_theoretical_batches_are_what_fits_beside_the_weights():
    candidates = contest(
        rival(10, 10, 0.2), rival(10, 30, 0.1), rival(80, 20, 0.6), rival(200, 1, 1.0)
    )
    rows = theoretical_batches(candidates, memory_bytes=100)
    assert [(row["batch_size"], row["on_frontier"]) for row in rows] == [
        (9, True),
        (3, False),
        (1, True),
    ]


def test_votes_are_favoured_from_the_memory_on_where_they_are_better_by_more_than_chance():
    candidates = contest(
        rival(10, 10, 0.3),
        rival(10, 40, 0.5, token_budget=400),
        rival(10, 30, 0.2, group_size=3),
        rival(10, 90, 0.8, token_budget=300, group_size=3),
        noise=0.02,
    )
    rows = parallel_scaling(candidates, batch_size=1)
    assert [(row["memory_bytes"], row["favours"]) for row in rows] == [
        (40, "serial"),
        (50, "serial"),
        (100, "parallel"),
    ]
    assert rows[-1]["parallel_group_size"] == 3
    assert rows[-1]["difference_lo"] > 0.25


def test_a_difference_that_may_be_chance_favours_neither():
    candidates = contest(rival(10, 10, 0.5), rival(10, 20, 0.51, group_size=2), noise=0.2)
    (row,) = parallel_scaling(candidates, batch_size=1)
    assert row["favours"] == "neither"
    assert row["difference_lo"] < 0 < row["difference_hi"]


def under(kind: str, kv_bytes: int, accuracy: float, size: int = 10) -> Candidate:
    return rival(size, kv_bytes, accuracy, kv_kind=kind, kv_policy=kind)


def test_eviction_and_fewer_bits_meet_within_a_model_and_a_precision():
    rows = eviction_or_bits(
        contest(
            under("full", 50, 0.9),
            under("evicting", 10, 0.6),
            under("quantized", 12, 0.4),
            under("evicting_quantized", 5, 0.9),
            under("evicting", 10, 0.3, size=30),
            under("quantized", 12, 0.5, size=30),
            under("evicting", 10, 0.5, size=90),
            noise=0.02,
        ),
        batch_size=1,
    )
    assert [(row["model"], row["memory_bytes"], row["favours"]) for row in rows] == [
        ("toy-10", 22, "evicting"),
        ("toy-30", 42, "quantized"),
    ]


def test_rows_name_the_best_of_all_questions_and_judge_as_halves_do():
    rng = np.random.default_rng(0)
    sizes, accuracies = rng.integers(1, 50, (60, 2)), rng.random(60) * 0.9
    rows = tuple(rival(int(a), int(b), 0.5) for a, b in sizes)
    candidates = Candidates(rows, rng.random((10, 60)) * 0.1 + accuracies)
    sides = {"even": np.arange(0, 60, 2), "odd": np.arange(1, 60, 2)}
    found = compare(candidates, 1, sides)
    claims = judge(candidates.halvings.differences(pairings(candidates, 1, *sides.values())), SEED)
    for row, claim in zip(found, claims, strict=True):
        fits = {
            name: [i for i in side if sizes[i].sum() <= row["memory_bytes"]]
            for name, side in sides.items()
        }
        best = {
            name: max(those, key=lambda i: candidates.estimate[i]) for name, those in fits.items()
        }
        assert row["even_engine_id"] == rows[best["even"]].configuration.engine_id
        assert row["odd_accuracy"] == rows[best["odd"]].accuracy
        assert (row["difference"], row["difference_lo"]) == (claim.effect, claim.low)


def lucky() -> Candidates:
    """A run of 30 questions, in which the most accurate configurations are mostly the luckiest."""
    run = drawn(study_like(study_grid(full_cache_alone=True)), 30, 0)
    members = [
        replace(one, accuracy=accuracy)
        for one, accuracy in zip(run.members, run.accuracy.tolist(), strict=True)
    ]
    return Candidates(tuple(members), run.scores)


def test_what_a_row_names_is_chosen_as_the_frontier_is():
    candidates = lucky()
    luckier = 0
    for row in parallel_scaling(candidates, batch_size=1):
        within = candidates.memory_bytes(1) <= row["memory_bytes"]
        for side, own in (
            ("serial", candidates.group_sizes == 1),
            ("parallel", candidates.group_sizes > 1),
        ):
            fits = np.flatnonzero(within & own)
            assert row[f"{side}_estimate"] == candidates.estimate[fits].max()
            luckier += candidates.accuracy[fits].max() > row[f"{side}_accuracy"]
    assert luckier


def test_batches_are_in_the_order_of_questions_and_then_of_estimates():
    candidates = lucky()
    rows = theoretical_batches(candidates, memory_bytes=48e9)
    by_estimate, by_accuracy = (
        sorted(rows, key=lambda row: (-row["batch_size"], -row[name]))
        for name in ("estimate", "accuracy")
    )
    assert rows == by_estimate != by_accuracy


def test_the_best_of_many_equals_is_not_favoured_over_one():
    rng = np.random.default_rng(2)
    many = [rival(10, 20 + i, 0.5, group_size=2) for i in range(200)]
    candidates = Candidates((rival(10, 10, 0.5), *many), rng.random((40, 201)))
    plainly = candidates.scores[:, 1 + candidates.accuracy[1:].argmax()] - candidates.scores[:, 0]
    assert paired_difference(plainly, np.zeros(40)).low > 0
    assert {row["favours"] for row in parallel_scaling(candidates, batch_size=1)} == {"neither"}


def test_models_are_compared_by_the_mean_over_memories():
    found = evicting_by_weights(
        contest(
            *(under("evicting", 10, 0.6), under("quantized", 12, 0.4)),
            *(under("evicting", 10, 0.5, size=30), under("quantized", 12, 0.5, size=30)),
            *(under("evicting", 10, 0.3, size=90), under("full", 12, 0.5, size=90)),
            noise=0.02,
        ),
        batch_size=1,
    )
    assert {of: claim.sign for of, claim in found.items()} == {
        ("toy-10", "bf16"): 1,
        ("toy-30", "bf16"): 0,
    }
    assert {claim.compared for claim in found.values()} == {2}
    assert evicting_by_weights(contest(rival(10, 10, 0.5)), batch_size=1) == {}

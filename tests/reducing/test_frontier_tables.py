"""Frontiers among those that share a choice, and how often a point stays on its frontier."""

import numpy as np
import pytest
from support.candidates import contest, rival

from benchmarks.planted_worlds import drawn, off_the_law, study_grid, study_like
from raysweep.analysis.candidates import Candidates
from raysweep.analysis.uncertainty import bootstrap_means, bootstrap_weights
from raysweep.frontier import frontier_points, p_on_frontier, pareto
from raysweep.reducing.frontier_tables import frontier_rows, frontier_tables, frontiers


def by_hand() -> Candidates:
    return contest(
        rival(10, 5, 0.3),
        rival(10, 8, 0.2, kv_policy="window"),
        rival(10, 15, 0.5, group_size=4),
        rival(40, 5, 0.6),
        rival(40, 9, 0.55, kv_policy="window"),
        rival(40, 20, 0.6, group_size=4),  # no better than one sample of the same
    )


def on_frontier(axis: str, value: str, batch_size: int = 1) -> list[float]:
    candidates = by_hand()
    found = frontiers(candidates, [batch_size])
    (one,) = (each for each in found if (each.axis, each.value) == (axis, value))
    return sorted(candidates.accuracy[one.members[one.points]].tolist())


@pytest.mark.parametrize(
    ("axis", "value", "accuracies"),
    [
        ("", "", [0.3, 0.5, 0.6]),
        ("model", "toy-10", [0.3, 0.5]),
        ("model", "toy-40", [0.6]),
        ("kv_policy", "window", [0.2, 0.55]),
        ("votes", "serial", [0.3, 0.6]),
        ("votes", "parallel", [0.5, 0.6]),
    ],
)
def test_each_choice_has_its_own_frontier(axis: str, value: str, accuracies: list[float]):
    assert on_frontier(axis, value) == accuracies


def test_a_shared_batch_makes_weights_cheap():
    assert on_frontier("", "", batch_size=100) == [0.3, 0.6]


def test_a_choice_that_all_share_has_no_frontier_of_its_own():
    assert "precision" not in {one.axis for one in frontiers(by_hand(), [1])}


def test_a_place_is_held_in_as_many_draws_as_each_draws_own_frontier_says():
    rng = np.random.default_rng(0)
    rows = tuple(rival(int(a), int(b), 0.5) for a, b in rng.integers(1, 9, (12, 2)))
    candidates = Candidates(rows, rng.integers(0, 3, (9, 12)) / 2)
    weights = bootstrap_weights(9, 250, seed=1)  # more draws than are held at once
    memory = candidates.memory_bytes(1)
    share = pareto(memory, np.round(weights @ candidates.scores, 12)).mean(axis=0)
    points = frontier_points(memory, candidates.estimate)
    found = [row for row in frontier_rows(candidates, [1], weights) if not row["axis"]]
    assert [row["memory_bytes"] for row in found] == memory[points].tolist()
    assert [row["p_on_frontier"] for row in found] == pytest.approx(share[points].tolist())


def test_the_tables_are_ordered_and_the_one_of_all_stands_by_itself():
    candidates = by_hand()
    weights = {"sums": bootstrap_weights(len(candidates.scores), 50, 1)}
    of_all, of_some = frontier_tables({"sums": candidates}, [1, 16], weights)
    assert of_all.column("batch_size").to_pylist() == sorted(
        of_all.column("batch_size").to_pylist()
    )
    assert set(of_some.column("axis").to_pylist()) == {"model", "kv_policy", "votes"}
    assert all(0 <= share <= 1 for share in of_some.column("p_on_frontier").to_pylist())


def test_a_point_has_its_measured_accuracy_what_chose_it_and_what_to_expect_of_it():
    rng = np.random.default_rng(3)
    scores = rng.binomial(1, 0.5, (30, 20)).astype(float)
    means = scores.mean(axis=0)
    rows = tuple(
        rival(10 + index, 1, float(mean), token_budget=index + 1)
        for index, mean in enumerate(means)
    )
    candidates = Candidates(rows, scores)
    rows_of_all = frontier_rows(candidates, [1], bootstrap_weights(30, 50, 1))
    found = [row for row in rows_of_all if not row["axis"]]
    estimates = [row["estimate"] for row in found]
    expected = [row["expected"] for row in found]
    assert estimates == sorted(set(estimates))
    assert expected == sorted(expected)
    last = found[-1]
    assert last["accuracy"] == pytest.approx(means.max())
    assert last["expected"] < last["accuracy"]
    assert last["expected_lo"] < last["expected"] < last["expected_hi"]


def test_a_draw_chooses_by_estimates_as_the_frontier_was_chosen():
    grid = study_grid(full_cache_alone=True)
    candidates = drawn(off_the_law(study_like(grid), 0.2, 1), 30, 1)
    weights = bootstrap_weights(30, 60, 1)
    found = [row for row in frontier_rows(candidates, [1], weights) if not row["axis"]]
    stays = np.array([row["p_on_frontier"] for row in found])
    memory, points = candidates.memory_bytes(1), candidates.frontier(1)
    by_estimates = p_on_frontier(memory, candidates.shrinkage.estimates(weights), points)
    assert stays == pytest.approx(by_estimates)
    # By the draws' measured accuracies, most points of a frontier of estimates would leave it.
    measured = p_on_frontier(memory, bootstrap_means(candidates.scores, weights), points)
    assert np.median(stays) > np.median(measured) + 0.1

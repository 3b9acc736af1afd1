"""A sweep in chaos ends as a calm one: a short one with all tests, a long one by `make chaos`."""

import os
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

SHORT = {
    "actor_killed": 2,
    "killed_writing": 1,
    "engine_error": 1,
    "out_of_memory": 1,
    "storage_error": 1,
    "storage_down": 1,
    "node_killed": 1,
    "driver_killed": 1,
}
LONG = {
    "actor_killed": 10,
    "killed_writing": 5,
    "killed_loading": 4,
    "engine_error": 7,
    "out_of_memory": 4,
    "hang": 3,
    "storage_error": 4,
    "storage_down": 4,
    "node_killed": 5,
    "driver_killed": 3,
    "sigterm": 3,
    "taken_over": 3,
    "part_damaged": 3,
}
BY_KIND = {
    "actor_killed": "actor",
    "engine_error": "error",
    "out_of_memory": "out_of_memory",
    "hang": "hang",
    "storage_error": "storage",
    "node_killed": "node",
}


def check(found: dict, injected: int, kinds: int) -> None:
    assert found["status"] == 0
    report, (chaotic, calm) = found["report"], found["samples"]
    pd.testing.assert_frame_equal(chaotic, calm)
    pd.testing.assert_frame_equal(*found["scenarios"])
    summary, calm_summary = found["summaries"]
    assert summary["samples"] == calm_summary["samples"] == len(calm)
    assert summary["shards_missing"] == summary["samples_missing"] == 0
    assert summary["outcomes"] == calm_summary["outcomes"]
    assert summary["faults_survived"] > 0 and calm_summary["faults_survived"] == 0
    assert report.injected.total() >= injected and len(report.injected) >= kinds
    assert max(found["lost_shards"]) <= 6  # the most that an actor may hold unwritten


@pytest.mark.timeout(600)
def test_a_sweep_in_short_chaos_ends_as_a_calm_one(tmp_path: Path):
    from sweep_in_chaos import run

    check(run(tmp_path, 1, SHORT, questions=24), injected=7, kinds=6)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_adaptive_sweep_in_short_chaos_decides_as_a_calm_one(tmp_path: Path):
    """Leaders that begin a round early may have more samples, or longer ones, in either of the two."""
    from cluster_in_chaos import ADAPTIVE
    from sweep_in_chaos import run

    found = run(tmp_path, 2, SHORT, questions=24, changes=ADAPTIVE)
    assert found["status"] == 0
    chaotic, calm = found["decisions"]
    assert chaotic == calm and len(calm) == 4  # after 4 and 8 samples, on two benchmarks
    assert found["report"].injected.total() >= 7
    some, others = map(answers, found["samples"])
    both = some.keys() & others.keys()
    for key in both:
        assert all(map(str.__eq__, some[key], others[key])), key  # up to the budgets that both have
    assert len(both) >= len({engine for engine, *_ in both}) * 2 * 24 * 4


def answers(samples: pd.DataFrame) -> dict[tuple, list[str]]:
    """The answers of each sample, up to the most token budgets that there are of it."""
    found: dict[tuple, list[str]] = {}
    for row in samples.to_dict("records"):
        key = row["engine_id"], row["benchmark"], row["question_id"], row["sample_index"]
        found[key] = max(found.get(key, []), list(map(repr, row["answers"])), key=len)
    return found


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_sweep_in_long_chaos_ends_as_a_calm_one(tmp_path: Path):
    from sweep_in_chaos import run

    seed = int(os.environ.get("RAYSWEEP_CHAOS", "1"))
    found = run(tmp_path, seed, LONG, questions=120)
    check(found, injected=50, kinds=8)
    assert max(found["report"].restarts_s, default=0) < 30
    for kind, counted in BY_KIND.items():
        assert found["summaries"][0]["faults_by_kind"].get(counted, 0) > 0, kind

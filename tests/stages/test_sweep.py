"""The whole command on real models: every file of the data contract, resume, and repeatability.

Each test runs `python -m raysweep` as a user does, over a grid small enough for seconds.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from raysweep.storage import schemas

pytestmark = pytest.mark.slow

GRID = [
    "sweep.models=[tiny-60k]",
    "sweep.weights=[bf16]",
    "sweep.kv_policies=[full,streaming_llm-64]",
    "sweep.benchmarks=[{name: chain, count: 6}, {name: facts, count: 4}]",
    "sweep.token_budgets=[16,48,96]",
    "sweep.group_sizes=[1,2]",
    "sweep.batch_sizes=[1,8]",
    "sweep.samples=2",
    "generation.shard_questions=3",
    "generation.shard_samples=2",
]
TIMINGS = ["wall_s"]


def command(out: Path, *changes: str) -> list[str]:
    return [sys.executable, "-m", "raysweep", f"out={out}", "run=R", *GRID, *changes]


def raysweep(out: Path, *changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(out, *changes), capture_output=True, text=True, timeout=600)


def samples(out: Path) -> pd.DataFrame:
    """All samples of the run, without timings, in the order of their names."""
    parts = [pq.ParquetFile(p).read().to_pandas() for p in sorted(out.rglob("samples/*/*.parquet"))]
    names = ["engine_id", "benchmark", "question_id", "sample_index"]
    whole = pd.concat(parts).drop(columns=TIMINGS).sort_values(names, ignore_index=True)
    return whole.map(lambda cell: json.dumps(cell, default=lambda array: array.tolist()))


def scenarios(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out / "R" / "scenarios.parquet").to_pylist()


def summary(out: Path) -> dict:
    return json.loads((out / "R" / "summary.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    done = raysweep(out)
    assert done.returncode == 0, done.stdout + done.stderr
    (out / "stdout").write_text(done.stdout)
    return out


def test_a_run_writes_every_file_of_the_data_contract(finished):
    expected = {
        "engines.parquet": schemas.ENGINES,
        "plan.parquet": schemas.PLAN,
        "scenarios.parquet": schemas.SCENARIOS,
        "frontier.parquet": schemas.FRONTIER,
    }
    for name, schema in expected.items():
        assert pq.read_schema(finished / "R" / name).equals(schema), name
    for part in finished.rglob("shard-*.parquet"):
        assert pq.read_schema(part).equals(schemas.SAMPLES)
    for name in ("config.yaml", "summary.json", "report/index.html", "figures/chain-frontier.svg"):
        assert (finished / "R" / name).stat().st_size > 0


def test_there_is_a_scenario_for_each_combination(finished):
    axes = ("engine_id", "benchmark", "token_budget", "group_size")
    rows = scenarios(finished)
    assert len(rows) == len({tuple(row[axis] for axis in axes) for row in rows}) == 2 * 2 * 3 * 2
    assert all(row["complete"] for row in rows)


def test_the_summarys_counts_agree_with_the_files(finished):
    counts, rows = summary(finished), samples(finished)
    assert counts["samples"] == len(rows) == 2 * (6 + 4) * 2
    assert counts["engines"] == len(pd.read_parquet(finished / "R" / "engines.parquet"))
    assert counts["shards"] == len(pd.read_parquet(finished / "R" / "plan.parquet"))
    assert counts["shards"] == len(list(finished.rglob("shard-*.parquet")))
    assert counts["scenarios"] == len(pd.read_parquet(finished / "R" / "scenarios.parquet"))
    assert counts["shards_missing"] == counts["faults_survived"] == 0
    answers = [answer for row in rows["answers"] for answer in json.loads(row)]
    assert sum(counts["outcomes"].values()) == len(answers)
    forks = sum(answer["answer_tokens"] for answer in answers if answer["forced"])
    traces = sum(int(row) for row in rows["trace_tokens"])
    assert counts["tokens_generated"] == traces + forks


def test_pass_at_1_is_the_share_of_correct_answers(finished):
    parts = [pq.ParquetFile(part).read() for part in finished.rglob("shard-*.parquet")]
    rows = [row for part in parts for row in part.to_pylist()]
    for scenario in scenarios(finished):
        outcomes = [
            answer["outcome"]
            for row in rows
            for answer in row["answers"]
            if row["engine_id"] == scenario["engine_id"]
            and row["benchmark"] == scenario["benchmark"]
            and answer["token_budget"] == scenario["token_budget"]
        ]
        correct = outcomes.count("correct") / len(outcomes)
        assert scenario["pass_at_1"] == pytest.approx(correct)


def test_the_terminal_shows_plan_frontier_and_the_reports_path(finished):
    text = (finished / "stdout").read_text()
    assert "24 scenarios from 2 engines" in text
    assert "chain: the best of 12 configurations for each memory" in text
    assert "report/index.html" in text.replace("\n", "")


def test_run_again_it_generates_nothing_and_raised_samples_only_the_difference(finished, tmp_path):
    out = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(finished), str(out)], check=True)
    before = {part: part.stat().st_mtime_ns for part in out.rglob("shard-*.parquet")}
    again = raysweep(out)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    more = raysweep(out, "sweep.samples=3")
    assert more.returncode == 0, more.stdout + more.stderr
    assert summary(out)["samples"] == 2 * (6 + 4) * 3
    after = {part: part.stat().st_mtime_ns for part in out.rglob("shard-*.parquet")}
    assert before.items() <= after.items()
    new = sum(pq.read_metadata(part).num_rows for part in after.keys() - before.keys())
    assert new == 2 * (6 + 4)


def test_another_batch_size_and_a_kill_on_the_way_give_identical_samples(finished, tmp_path):
    changes = ["generation.max_rows=16", "generation.shard_questions=1"]
    process = subprocess.Popen(command(tmp_path, *changes), stdout=subprocess.DEVNULL)
    while not list(tmp_path.rglob("shard-*.parquet")):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list(tmp_path.rglob("shard-*.parquet"))) < 20
    done = raysweep(tmp_path, *changes)
    assert done.returncode == 0, done.stdout + done.stderr
    pd.testing.assert_frame_equal(samples(tmp_path), samples(finished))


def test_sigterm_ends_a_run_with_work_remaining_and_the_same_command_goes_on(tmp_path):
    one_by_one = ["generation.max_rows=16", "generation.shard_questions=1", "stages=[generate]"]
    process = subprocess.Popen(command(tmp_path, *one_by_one), stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.rglob("shard-*.parquet")):
        assert process.poll() is None
        time.sleep(0.02)
    process.terminate()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 3
    assert said == "raysweep: interrupted; repeat the same command to continue\n"
    assert summary(tmp_path)["wall_s"] > 0
    done = raysweep(tmp_path, *one_by_one)
    assert done.returncode == 0, done.stdout + done.stderr


def test_another_configuration_in_the_same_folder_is_refused_before_anything_starts(finished):
    refused = raysweep(finished, "seed=1")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "seed" in refused.stderr and "run=" in refused.stderr


def test_the_analysis_is_redone_without_ray_and_without_a_change(finished, tmp_path):
    out = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(finished), str(out)], check=True)
    for name in ("scenarios.parquet", "frontier.parquet"):
        (out / "R" / name).unlink()
    redone = raysweep(out, "stages=[reduce,report]")
    assert redone.returncode == 0, redone.stderr
    for name in ("scenarios.parquet", "frontier.parquet"):
        assert pq.read_table(out / "R" / name).equals(pq.read_table(finished / "R" / name))


def test_a_missing_part_makes_a_result_incomplete_and_the_exit_status_3(finished, tmp_path):
    out = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(finished), str(out)], check=True)
    next(out.rglob("shard-*.parquet")).unlink()
    partial = raysweep(out, "stages=[reduce,report]")
    assert partial.returncode == 3
    assert summary(out)["shards_missing"] == 1
    assert {row["complete"] for row in scenarios(out)} == {True, False}

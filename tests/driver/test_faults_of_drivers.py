"""Killed drivers and lost heads, with real processes, and the same command repeated."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from support.parts import written

from raysweep.storage.part_file import is_compacted
from raysweep.storage.store import Store
from raysweep.storage.summary import read_summary

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COMMAND = (
    *(sys.executable, "-m", "raysweep", "+sweep=smoke", "run=test", "sweep.backend=fake"),
    *("stages=[generate]", "cluster.actors=1", "generation.shard_questions=1"),
    *("generation.shard_samples=1", "sweep.samples=4", "generation.max_rows=1"),
)


def started(folder: Path, *changes: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*COMMAND, *changes],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_driver_killed_by_sigkill_loses_nothing_and_its_session_is_counted(tmp_path):
    first = started(tmp_path)
    while len(written(tmp_path)) < 3:
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    first.kill()
    first.communicate()
    time.sleep(3)  # Meanwhile its actors end too.
    before = written(tmp_path)
    second = started(tmp_path)
    while len(written(tmp_path)) == len(before):
        assert second.poll() is None, second.communicate()
        time.sleep(0.02)
    said, errors = second.communicate(timeout=120)
    assert (second.returncode, errors) == (0, ""), said
    assert before.items() <= written(tmp_path).items()
    assert all(is_compacted(part.file) for part in written(tmp_path).values())
    summary = read_summary(Store(str(tmp_path / "runs" / "test")))
    assert summary["faults_by_kind"] == {"driver": 1}


def test_a_driver_killed_while_it_compacts_leaves_each_sample_once_and_the_next_ends_it(tmp_path):
    first = started(tmp_path)
    while not list(tmp_path.rglob("parts-*.parquet")):
        assert first.poll() is None, first.communicate()
        time.sleep(0.002)
    first.kill()
    first.communicate()
    before = written(tmp_path)
    said, errors = started(tmp_path).communicate(timeout=240)
    assert errors == "", said
    after = written(tmp_path)
    assert before.items() <= after.items()
    assert all(is_compacted(part.file) for part in after.values())
    columns = ["engine_id", "benchmark", "question_id", "sample_index"]
    table = ds.dataset(tmp_path / "runs" / "test" / "samples").to_table(columns=columns)
    assert table.num_rows == table.group_by(columns).aggregate([]).num_rows
    assert table.num_rows == sum(part.samples for part in after.values())


def test_the_head_of_a_cluster_that_is_lost_ends_the_run_in_one_line(tmp_path):
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_AUTH_TOKEN", "0" * 64)  # Ray reads it once in a process
    script = (
        "import sys; from raysweep.driver import head_watch as watch\n"
        "watch.GONE_S, watch.LOOK_EVERY_S = 4.0, 1.0\n"
        "from raysweep.__main__ import main; sys.exit(main())"
    )
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        slow = [f"cluster.address={cluster.address}", "sweep.samples=64", "sweep.group_sizes=[1]"]
        process = subprocess.Popen(
            [sys.executable, "-c", script, *COMMAND[3:], *slow],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        while not written(tmp_path):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        assert cluster.head_node is not None
        cluster.head_node.kill_gcs_server(check_alive=False)
        errors = process.communicate(timeout=70)[1]
        assert process.returncode == 3, errors
        said = (
            r"raysweep: cluster: Ray's head has not answered for (\d+) s; written samples are kept"
        )
        silent = re.match(said, errors.splitlines()[-1])
        assert silent and 4 <= int(silent[1]) < 40, errors  # before Ray itself ends the process
        assert "Traceback" not in errors
    finally:
        cluster.shutdown()

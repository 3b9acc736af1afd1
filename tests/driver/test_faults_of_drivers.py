"""Killed drivers and lost heads, with real processes, and the same command repeated."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from support.parts import written

from raysweep.storage.part_file import is_compacted
from raysweep.storage.store import Store
from raysweep.storage.summary import read_summary

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COMMAND = (
    *("+sweep=smoke", "run=test", "sweep.backend=fake"),
    *("stages=[generate]", "cluster.actors=1", "generation.shard_questions=1"),
    *("generation.shard_samples=1", "sweep.samples=4", "generation.max_rows=1"),
)


def started(
    folder: Path,
    *changes: str,
    before: Sequence[str] = (),
    python: Sequence[str] = ("-m", "raysweep"),
) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*before, sys.executable, *python, *COMMAND, *changes],
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


def read_only(*folders: Path) -> list[str]:
    """The start of a command to which these folders are on a read-only file system."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("no bubblewrap here: apt-get install bubblewrap to test without write rights")
    bound = [option for folder in folders for option in ("--ro-bind", str(folder), str(folder))]
    return [bwrap, "--dev-bind", "/", "/", *bound]


ONE_ENGINE = ("sweep.models=[tiny-60k]", "sweep.weights=[bf16]", "sweep.kv_policies=[full]")


def test_an_engine_whose_folder_may_not_be_written_blames_nobody_and_ends_the_run(tmp_path):
    folder = tmp_path / "runs" / "test" / "samples"
    said, errors = started(tmp_path, *ONE_ENGINE, "stages=[plan]").communicate(timeout=60)
    engine = pq.read_table(folder.parent / "engines.parquet")["engine_id"][0].as_py()
    refused = folder / f"engine={engine}"
    refused.mkdir(parents=True)
    process = started(tmp_path, *ONE_ENGINE, before=read_only(refused))
    said, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (3, "")
    assert said.count("Read-only file system") == 1 and "the right to read and write" in said
    assert "given up" not in said and "failed" not in said
    summary = read_summary(Store(str(folder.parent)))
    assert summary["faults_by_kind"] == {"storage": 3} and summary["quarantined"] == []
    again = started(tmp_path, *ONE_ENGINE)
    again.communicate(timeout=120)
    assert again.returncode == 0


def test_a_folder_that_turns_read_only_ends_the_run_with_status_3_in_one_line(tmp_path):
    """The driver's own files are refused too, in mid run."""
    script = (
        "import errno, os, sys; from raysweep.storage import publishing as files\n"
        "real = files._publish_local\n"
        "def publish(target, data):\n"
        "    if target.endswith('progress.json'):\n"
        "        raise OSError(errno.EROFS, 'Read-only file system', target)\n"
        "    real(target, data)\n"
        "files._publish_local = publish\n"
        "from raysweep.__main__ import main; sys.exit(main())"
    )
    process = started(tmp_path, python=["-c", script])
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 3
    assert errors.startswith("raysweep: storage: progress.json") and errors.count("\n") == 1


def test_a_folder_that_may_not_be_written_from_the_start_is_bad_input(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    process = started(tmp_path, before=read_only(folder))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("raysweep: out: ") and errors.count("\n") == 1


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
            [sys.executable, "-c", script, *COMMAND, *slow],
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

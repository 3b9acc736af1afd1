"""The stage status: what is finished and what is missing in a run's folder, read without Ray."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.hand_made_runs import MIXED, generate, reduce_run, sweep_of

from raysweep.monitoring.snapshot import EngineProgress, Snapshot
from raysweep.progress.progress_json import read_progress, write_progress
from raysweep.progress.sessions import note_session
from raysweep.progress.status import EngineStatus, Status, lines
from raysweep.stages import run_stages
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE, WORK_REMAINS


class Folder:
    """A run's folder, and the stage that looks at it."""

    def __init__(self, out: Path, capsys: pytest.CaptureFixture[str]):
        self.out, self.capsys = out, capsys
        self.store = Store(str(out / "test"))

    def config(self, **changes: Any):
        return replace(sweep_of(**changes), out=str(self.out), run="test", stages=("status",))

    def status(self, **changes: Any) -> tuple[int, str]:
        status = run_stages(self.config(**changes), {"identity": {}})
        return status, " ".join(self.capsys.readouterr().out.split())

    def files(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.out.rglob("*")}


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    return Folder(tmp_path, capsys)


def test_of_a_run_that_was_never_started_everything_is_missing_and_no_folder_is_made(
    folder: Folder,
):
    status, said = folder.status()
    assert status == WORK_REMAINS
    assert "samples 0 of 8 are finished; 4 shards missing" in said
    assert "finished samples of the others: 0 of 8 toy.bf16.full" in said
    assert "results none yet" in said
    assert not folder.files()


def test_missing_shards_are_listed_by_engine(folder: Folder):
    generate(folder.config(), folder.store, MIXED, lost=1)
    note_session(
        folder.store, wall_s=90.0, gpu_s=3600.0, faults={"node": 2}, warnings=["slow disk"]
    )
    status, said = folder.status()
    assert status == WORK_REMAINS
    assert "samples 6 of 8 are finished; 1 shard missing" in said
    assert "engines 0 of 1 are finished; finished samples of the others: 6 of 8 toy" in said
    assert "so far 1 min 30 s of generating, 1.00 GPU-hours, 2 faults survived (2 node)" in said
    assert "warning slow disk" in said


def test_a_finished_run_is_done_and_its_folder_untouched(folder: Folder):
    generate(folder.config(), folder.store, MIXED)
    reduce_run(folder.config(), folder.store)
    before = folder.files()
    status, said = folder.status()
    assert status == DONE
    assert "samples 8 of 8 are finished newest" in said
    assert "engines 1 of 1 are finished" in said
    assert "no report yet; stages=[report] makes it" in said
    assert folder.files() == before


def test_results_older_than_the_samples_are_reported_as_such(folder: Folder):
    generate(folder.config(), folder.store, MIXED)
    reduce_run(folder.config(), folder.store)
    past = time.time() - 3600
    os.utime(folder.out / "test/scenarios.parquet", (past, past))
    _, said = folder.status()
    assert "results older than the newest samples" in said


def test_a_running_stage_is_shown_with_its_speed_and_the_time_left(folder: Folder):
    engine = EngineProgress("toy.bf16.full", "toy", "bf16", "full", "sums", 3, 1, 0, 4)
    written = Snapshot((engine,), actors=2, tokens_s=1200.0, faults={"node": 1}, seconds_left=80.0)
    write_progress(folder.store, written)
    read = read_progress(folder.store)
    assert read is not None
    assert read.snapshot == written
    _, said = folder.status()
    assert "progress 3/8 shards · 2 actors · 1,200 tokens/s · 1 fault · 1 min 20 s left" in said


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"written_at": "soon", "engines": []}'])
def test_progress_that_cannot_be_read_is_left_out(folder: Folder, content: str):
    folder.store.write_text("progress.json", content)
    assert read_progress(folder.store) is None
    assert folder.status()[0] == WORK_REMAINS


def test_many_open_engines_are_named_most_work_first_and_the_rest_counted():
    engines = tuple(EngineStatus(f"e{i}", "torch", i, 100, 1) for i in range(30))
    newest = datetime(2026, 1, 1, tzinfo=UTC)
    found = Status(engines, {"samples": newest}, {})
    said = [f"{label} {text}" for label, text in lines(found, now=newest.timestamp() + 90)]
    assert "newest part was written 1 min 30 s ago" in said
    assert said[3].split() == ["0", "of", "100", "e0"]
    assert " and 18 other engines with missing shards" in said


def test_the_status_needs_no_ray_and_no_tensor_library():
    program = "import sys, raysweep.progress.status, raysweep.stages; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"ray", "torch", "transformers"} & set(loaded.stdout.split())

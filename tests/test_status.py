"""The stage status: what a run's folder holds and lacks, read off it without Ray."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_stages import Command, generate_here

from raysweep import generating
from raysweep.stages import DONE, WORK_REMAINS
from raysweep.status import EngineStatus, Status, lines


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.setattr(generating, "generate", generate_here)
    return Command(tmp_path, capsys)


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_run_that_has_not_begun_lacks_everything_and_gets_no_folder(run: Command):
    status, said = run("status")
    assert status == WORK_REMAINS
    assert "samples 0 of 12 are there; 4 shards left" in said
    assert "toy.bf16.full (fake): 0 of 12 samples, 4 shards left" in said
    assert "results none yet" in said
    assert not (run.out / "test").exists()


def test_a_larger_run_says_what_is_left_of_it(run: Command):
    run("generate", samples=2)
    status, said = run("status", samples=4)
    assert status == WORK_REMAINS
    assert "samples 6 of 12 are there; 2 shards left" in said
    assert "engines 0 of 1 complete toy.bf16.full (fake): 6 of 12 samples" in said
    assert "so far 1.0 s of generating, 0 faults survived" in said


def test_a_finished_run_is_done_and_its_folder_untouched(run: Command):
    run("plan", "generate", "reduce")
    before = files(run.out)
    status, said = run("status")
    assert status == DONE
    assert "samples 12 of 12 are there; 0 shards left" in said
    assert "engines 1 of 1 complete" in said
    assert "no report yet: stages=[report]" in said
    assert files(run.out) == before


def test_results_older_than_the_samples_are_called_so(run: Command):
    run("generate", "reduce")
    past = time.time() - 3600
    os.utime(run.out / "test/scenarios.parquet", (past, past))
    _, said = run("status")
    assert "results older than the newest samples" in said


def test_many_open_engines_are_named_most_work_first_and_the_rest_counted():
    engines = tuple(EngineStatus(f"e{i}", "torch", i, 100, 1) for i in range(30))
    newest = datetime(2026, 1, 1, tzinfo=UTC)
    found = Status(engines, {"samples": newest}, {"warnings": ["slow disk"]})
    said = [f"{label} {text}" for label, text in lines(found, now=newest.timestamp() + 90)]
    assert "progress the newest part was written 1 min 30 s ago" in said
    assert said[3].startswith(" e0 (torch): 0 of 100 samples")
    assert " and 18 other engines with work left" in said
    assert "warning slow disk" in said


def test_the_status_needs_no_ray_and_no_tensor_library():
    program = "import sys, raysweep.status, raysweep.stages; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"ray", "torch", "transformers"} & set(loaded.stdout.split())

"""`python -m benchmarks.check_gpu` without a GPU: a dry run of all parts, failures, the end of the time."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.check_gpu import __main__ as command
from benchmarks.check_gpu import kernels, sweep
from benchmarks.check_gpu.checked import Checked, Off, roundings, tiny
from benchmarks.check_gpu.decode import tiny_scale
from benchmarks.check_gpu.device import describe
from benchmarks.check_gpu.parts import Part, run_parts
from benchmarks.check_gpu.random_qwen3 import random_model
from benchmarks.check_gpu.report import DRY
from benchmarks.check_gpu.rows import Row
from benchmarks.check_gpu.setting import NO_GPU, NoGPUError, Setting, known_gpu
from raysweep.memory import architecture_bytes

ROOT = Path(__file__).parents[2]
SETTING = Setting(True, NO_GPU, 1e9)
GIB = 2**30


def run(out: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "benchmarks.check_gpu", "--out", str(out), *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True)


def read(out: Path) -> dict[str, Any]:
    return json.loads((out / "check-gpu.json").read_text())


@pytest.mark.slow
def test_a_dry_run_runs_all_parts_and_says_on_each_line_that_it_is_one(tmp_path: Path):
    done = run(tmp_path, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    found = read(tmp_path)
    rows = found["rows"]
    assert all(row["dry_run"] for row in rows)
    assert {row["part"] for row in rows} == {part.name for part in command.PARTS}
    assert {"GPU", "driver", "torch", "triton", "vllm", "date"} <= set(found["environment"])
    assert not [row for row in rows if row["ok"] is False]
    unrun = [row["subject"] for row in rows if row["figure"].startswith("not run")]
    assert unrun and all("vLLM" in subject for subject in unrun)
    assert kernels_in(rows) >= kernel_files()
    title, _, head, _, *lines = (tmp_path / "check-gpu.md").read_text().splitlines()
    assert DRY in title and "measured" in head
    assert len(lines) == len(rows) and all(line.startswith(f"| {DRY} |") for line in lines)


def kernels_in(rows: Sequence[dict[str, Any]]) -> set[str]:
    """The files whose kernels were launched for the rows."""
    return {file for row in rows for file in row["numbers"].get("kernels", [])}


def kernel_files() -> set[str]:
    """The files in actors/kernels that launch a kernel."""
    files = (ROOT / "actors" / "kernels").glob("*.py")
    return {file.stem for file in files if "launching.launch(" in file.read_text()}


def test_without_a_gpu_the_command_says_so_and_does_nothing(tmp_path: Path):
    done = run(tmp_path, PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == ["check-gpu: nvidia-smi finds no NVIDIA GPU here"]
    assert not list(tmp_path.iterdir())


def test_a_torch_that_sees_no_gpu_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NoGPUError, match="torch"):
        describe(dry=False)


# ---- parts ----


def a_part(name: str, share: float = 1.0) -> Part:
    return Part(name, f"support.checked_parts:{name}", share)


def rows_of(*parts: Part, seconds: float = 60) -> list[tuple[str, str]]:
    """Subject and figure of each row."""
    rows = run_parts(parts, SETTING, time.monotonic(), seconds)
    return [(row.subject, row.figure) for row in rows]


def test_a_failing_part_has_its_rows_and_the_status_and_the_others_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    parts = [a_part("failing"), a_part("without_cases"), a_part("good")]
    monkeypatch.setattr(command, "PARTS", parts)
    monkeypatch.setattr(command, "described", lambda dry: (SETTING, {"GPU": "none"}))
    assert command.check(True, time.monotonic(), 60, tmp_path) == 1
    rows = read(tmp_path)["rows"]
    assert [(row["part"], row["figure"], row["ok"]) for row in rows] == [
        ("failing", "failed: ValueError: too few | numbers", False),
        ("failing", "0 of 1", False),
        ("failing", "1 of 1", True),
        ("without_cases", "failed: ImportError: there is no such module", False),
        ("good", "1 of 1", True),
    ]
    assert "too few \\| numbers" in (tmp_path / "check-gpu.md").read_text()
    monkeypatch.setattr(command, "PARTS", [a_part("good")])
    assert command.check(True, time.monotonic(), 60, tmp_path) == 0


def test_what_is_cut_off_is_in_the_table_and_later_parts_have_their_time():
    began = time.monotonic()
    rows = rows_of(a_part("slow", 0.2), a_part("good", 0.8), seconds=15)
    assert rows == [
        ("fine", "1 of 1"),
        ("sleeps", "not run: time"),
        ("never", "not run: time"),
        ("fine", "1 of 1"),
    ]
    assert time.monotonic() - began < 15


def test_a_part_without_any_time_is_in_the_table():
    assert rows_of(a_part("good"), seconds=0) == [("good", "not run: time")]


def test_a_part_whose_process_ends_is_in_the_table():
    why = "its process ended with status 3"
    assert rows_of(a_part("dying")) == [
        ("fine", "1 of 1"),
        ("ends", f"failed: {why}"),
        ("never", f"not run: {why}"),
    ]


def test_a_sweep_that_takes_too_long_is_stopped():
    endless = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(TimeoutError):
        sweep.run(endless, time.monotonic() + sweep.GRACE_S + 0.5)


# ---- what is measured ----


@pytest.mark.parametrize(
    ("name", "memory", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", 79.6, "h100-80"),
        ("NVIDIA A100-SXM4-80GB", 79.2, "a100-80"),
        ("NVIDIA A100-PCIE-40GB", 39.4, "a100-40"),
        ("NVIDIA H200", 139.8, "h200-141"),
        ("NVIDIA L4", 22.0, "l4-24"),
        ("NVIDIA L40S", 44.5, "l40s-48"),
        ("NVIDIA GeForce RTX 4090", 23.6, "rtx4090-24"),
        ("Tesla T4", 14.6, "t4-16"),
    ],
)
def test_a_gpu_is_known_by_the_name_that_its_driver_gives(name: str, memory: float, kind: str):
    gpu = known_gpu(name, int(memory * GIB))
    assert gpu is not None and gpu.name == kind


@pytest.mark.parametrize(
    ("name", "memory"),
    [("NVIDIA H100 80GB HBM3 MIG 3g.40gb", 39.5), ("NVIDIA GeForce RTX 3090", 23.6)],
)
def test_a_part_of_a_gpu_and_an_unlisted_one_are_of_no_known_kind(name: str, memory: float):
    assert known_gpu(name, int(memory * GIB)) is None


def checked_row(off: float) -> Row:
    checked = Checked(lambda: None, lambda: Off(off, most=1), moved=1000)
    (row,) = kernels.check("a kernel", lambda: checked, tiny(), SETTING)
    return row


def test_a_kernel_that_is_off_by_more_than_its_roundings_is_not_as_expected():
    assert checked_row(0.9).ok and not checked_row(1.1).ok and not checked_row(float("nan")).ok


def test_differences_are_in_roundings_to_bf16_of_the_largest_number():
    exact = torch.tensor([-4.0, 1.0, 0.0])
    found = torch.tensor([-4.0, 1.0 + 4 * 2**-8, 0.0])
    assert roundings(found, exact).value == pytest.approx(1)
    assert not roundings(torch.tensor([torch.nan, 1, 0]), exact).ok


def test_a_random_model_has_the_bytes_of_the_plan():
    scale = tiny_scale()
    a = scale.models[0].architecture
    for weights in {weights for weights, _ in scale.kinds}:
        model = random_model(a, weights, torch.device("cpu"))
        held = {tensor.data_ptr(): tensor.nbytes for tensor in model.state_dict().values()}
        assert sum(held.values()) == architecture_bytes(a, weights)

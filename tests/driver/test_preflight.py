"""The preflight: what a node says, and what makes it unfit."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from actors import node_report as node_side
from raysweep.driver.node_faults import faults
from raysweep.driver.node_questions import Questions
from raysweep.driver.preflight import own_report
from raysweep.run_config import Gpu
from raysweep.system.node_report import GpuReport, NodeReport

GB = 10**9
H100 = Gpu("h100-80", 85 * GB, 3e12, 1e15)
HERE = own_report()
# A node like the driver's machine, but with eight H100 and a torch for them.
THERE = replace(
    HERE,
    node="10.0.0.7 (abc123)",
    cuda="13.0",
    driver="580.65.06",
    driver_cuda="13.0",
    compiler=True,
    gpus=(GpuReport("NVIDIA H100", 85 * GB, 84 * GB),) * 8,
    versions={**HERE.versions, "torch": "2.13.0+cu130", "vllm": "0.32.0"},
)


def said(report: NodeReport, here: NodeReport = HERE, gpus: Sequence[Gpu] = (H100,)) -> list[str]:
    return list(faults(report, here, gpus, 8, (report.clock_s - 1, report.clock_s + 1)))


def test_a_node_like_the_driver_is_fit_whatever_the_build_of_its_torch():
    assert said(THERE) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"code": ""},
            "has no raysweep; install it there as here, or start with cluster.send_code",
        ),
        ({"code": "0123"}, "has another raysweep (0.1.0, code 0123; here "),
        (
            {"versions": {**THERE.versions, "torch": "2.12.1+cu130"}},
            "has torch 2.12.1+cu130 and the driver 2.13.0",
        ),
        (
            {"driver": "535.104.05", "driver_cuda": "12.2"},
            "has NVIDIA driver 535.104.05 for CUDA 12.2, and its torch is built for CUDA 13.0, which",
        ),
        ({"cuda": ""}, "has a torch without CUDA (2.13.0+cu130); install a build for CUDA"),
        (
            {"gpus": (GpuReport("Tesla T4", 16 * GB, 16 * GB),) * 8},
            "has 0 GPUs as large as any of cluster.gpu, h100-80, and Ray counts 8 there; one is a Tesla T4",
        ),
        (
            {"gpus": (GpuReport("NVIDIA H100", 85 * GB, 30 * GB),) * 8},
            "has no GPU of which half the memory is free; end what uses them",
        ),
        (
            {"compiler": False},
            "has no C compiler, with which Triton builds what starts kernels; install",
        ),
        ({"free_disk_bytes": 10**8}, "has 100 MB of disk free for temporary files; make room"),
        ({"problems": ("cannot grade: …",)}, "cannot grade: …"),
    ],
)
def test_what_makes_a_node_unfit_is_one_line_with_the_way_out(change: dict, words: str):
    (line,) = said(replace(THERE, **change))
    assert words in line and "\n" not in line


def test_a_node_with_another_vllm_is_unfit():
    ours = replace(HERE, versions={**HERE.versions, "vllm": "0.31.0"})
    assert said(THERE, ours) == ["has vllm 0.32.0 and the driver 0.31.0; install the same on both"]


@pytest.mark.parametrize(
    ("off_s", "words"), [(3600, "1 h 0 min ahead of"), (-3600, "1 h 0 min behind")]
)
def test_a_clock_that_is_an_hour_off_makes_a_node_unfit(off_s: float, words: str):
    wrong = replace(THERE, clock_s=THERE.clock_s + off_s)
    now = THERE.clock_s  # the node was asked and answered at once
    (line,) = faults(wrong, HERE, (), 0, (now, now))
    assert words in line and "the driver's; set it" in line


def test_a_node_says_what_it_cannot_import_read_write_or_grade(tmp_path: Path):
    (tmp_path / "seen").mkdir()
    (tmp_path / "seen" / "token").touch()
    (tmp_path / "file").touch()
    asked = Questions(
        token="token",
        folders=(
            ("out", str(tmp_path / "seen")),
            ("out", str(tmp_path / "other")),
            ("prepare.checkpoints", str(tmp_path / "file")),
        ),
        paths=(str(tmp_path / "models"),),
        modules=("actors.engine_actor", "no_such_study.policy"),
        needs=("torch", "no_such_engine"),
    )
    needs, module, other, file, models = node_side.report(vars(asked))["problems"]
    assert needs == "has no no_such_engine, which its engines need; install it there"
    assert module.startswith("cannot import no_such_study.policy (ModuleNotFoundError: No module")
    assert other.startswith(
        f"does not see what the driver wrote into out, {tmp_path}/other; give out="
    )
    assert "prepare.checkpoints" in file
    assert models.startswith(f"has no folder {tmp_path}/models, from which its engines load")
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["token"]


def test_gpus_and_their_driver_are_read_from_nvidia_smi(tmp_path: Path, monkeypatch):
    lines = [
        "NVIDIA H100 80GB HBM3, 81559, 80994, 580.65.06, Disabled",
        "NVIDIA GB10, [N/A], [N/A], 580.65.06, [N/A]",  # shares its memory with the CPU
        "NVIDIA A100-SXM4-40GB, 40960, 40000, 580.65.06, Enabled",  # cut into slices
    ]
    (tmp_path / "said").write_text("\n".join(lines) + "\n")
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\ncat {tmp_path}/said\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    gpus, driver = node_side.nvidia_gpus()
    assert driver == "580.65.06"
    assert [gpu["name"] for gpu in gpus] == [line.split(",")[0] for line in lines]
    assert [gpu["memory_bytes"] for gpu in gpus] == [81559 * 2**20, 0, 0]
    assert gpus[0]["free_bytes"] == 80994 * 2**20

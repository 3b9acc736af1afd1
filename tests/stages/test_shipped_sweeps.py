"""Every shipped sweep can be planned without network, GPU and Ray, and always with the same result."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.configurations import write_definition

from raysweep.configuration.config import conf_folder

NEEDS_ITS_MODEL = "real"  # planned where the model is: tests/with_real_model
SWEEPS = sorted({f.stem for f in (conf_folder() / "sweep").glob("*.yaml")} - {NEEDS_ITS_MODEL})
OFFLINE = """
import socket, sys

def connect(*_):
    raise AssertionError("a plan asks no network")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = connect
from raysweep.__main__ import main

status = main()
assert "ray" not in sys.modules and "torch" not in sys.modules
sys.exit(status)
"""
TABLES = ("engines.parquet", "plan.parquet")


def plan(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `stages=[plan]` in a process without network and without the hub's cache, but with a vLLM.

    The sweeps are made for it: without vLLM the largest models' full caches fit on no GPU.
    """
    (folder / "installed").mkdir()
    (folder / "installed" / "vllm.py").touch()  # found, and never imported by a plan
    path = [str(folder / "installed"), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables["PYTHONPATH"] = os.pathsep.join(path)
    command = [sys.executable, "-c", OFFLINE, "stages=[plan]", f"out={folder}", "run=R", *arguments]
    environment = {**os.environ, "HF_HOME": str(folder / "hub"), "COLUMNS": "80", **variables}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, timeout=300
    )


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The plan of the whole study: its folder, and what was printed."""
    folder = tmp_path_factory.mktemp("full")
    planned = plan(folder, "+sweep=full", PYTHONHASHSEED="1")
    assert planned.returncode == 0, planned.stderr
    return folder / "R", planned.stdout


@pytest.mark.parametrize("sweep", [sweep for sweep in SWEEPS if sweep != "full"])
def test_every_sweep_is_planned_without_a_network(sweep: str, tmp_path: Path):
    planned = plan(tmp_path, f"+sweep={sweep}")
    assert planned.returncode == 0, planned.stderr
    engines = pq.read_table(tmp_path / "R" / "engines.parquet").to_pylist()
    assert f"scenarios from {len(engines)} engines" in planned.stdout
    assert all(row["gpus"] is not None for row in engines)


def test_the_study_on_the_embedded_family_holds_what_its_six_findings_are_decided_on(
    tmp_path: Path,
):
    planned = plan(tmp_path, "+sweep=study")
    assert planned.returncode == 0, planned.stderr
    engines, shards = (pq.read_table(tmp_path / "R" / name).to_pylist() for name in TABLES)
    questions = {(row["benchmark"], name) for row in shards for name in row["question_ids"]}
    assert sum(benchmark == "chain" for benchmark, _ in questions) == 180
    full = [row for row in engines if row["kv_kind"] == "full"]
    sizes = {row["weights_bytes"] for row in full}
    assert len(full) == len(sizes) == 16  # as many places for a scale threshold
    for model in {row["model"] for row in engines}:
        own = [row for row in engines if row["model"] == model]
        assert {row["weight_bits"] for row in own if row["kv_kind"] == "full"} == {16, 8, 4, 3}
        policies = {row["kv_policy"]: row["kv_kind"] for row in own if row["weight_bits"] == 16}
        kinds = list(policies.values())
        assert (kinds.count("full"), kinds.count("evicting"), kinds.count("quantized")) == (1, 3, 3)


def test_a_sweep_whose_model_is_missing_says_where_it_belongs(tmp_path: Path):
    refused = plan(tmp_path, f"+sweep={NEEDS_ITS_MODEL}")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "build/smollm2' is not a folder" in refused.stderr


def test_the_studys_grid_is_large_and_known_beforehand(full: tuple[Path, str]):
    folder, said = full
    assert "20,160 scenarios from 180 engines" in said
    assert "aime25 is not on this machine, so 30 stand-in questions are planned" in said
    assert "gpqa-diamond is not on this machine, so 198 stand-in questions are planned" in said
    assert "h100-80: " in said and "GPU-hours, $" in said
    assert all(len(line) <= 80 for line in said.splitlines() if "qwen3-" in line)
    engines, shards = (pq.read_table(folder / name).to_pylist() for name in TABLES)
    samples = sum(len(row["question_ids"]) * row["sample_count"] for row in shards)
    assert samples == 180 * (30 + 198) * 16
    assert sum(row["est_tokens"] for row in engines) == samples * (30_000 + 8 * 1024)
    assert sum(row["est_tokens"] for row in shards) == samples * (30_000 + 8 * 1024)
    assert all(row["est_gpu_hours"] > 0 for row in engines)
    gpus = {row["engine_id"]: row["gpus"] for row in engines}
    assert all(row["gpus"] == gpus[row["engine_id"]] for row in shards)
    assert max(gpus.values()) == 1  # the cluster of the sweep has pods of one GPU


def test_engines_are_split_over_the_gpus_of_larger_nodes(tmp_path: Path):
    planned = plan(tmp_path, "+sweep=full", "sweep.models=[qwen3-32b]", "cluster.gpus_per_node=8")
    assert planned.returncode == 0, planned.stderr
    engines = pq.read_table(tmp_path / "R" / "engines.parquet").to_pylist()
    assert {1.0, 2.0} <= {row["gpus"] for row in engines}


def test_the_plan_of_the_study_says_where_the_weights_come_from(full: tuple[Path, str]):
    said = full[1]
    assert "weights   bf16 of 6 models: the models' own files" in said
    assert "gptq8 of qwen3-0.6b: published files (hf.co/Qwen)" in said
    assert (
        "prepare   gptq4 of 6 models, gptq8 of 5 models: quantised by the stage prepare on" in said
    )
    assert "on one h100-80 (rough, by GPTQ's own time on an A100), and 87.8 GB of host" in said


def test_two_plans_of_the_study_have_the_same_bytes(full: tuple[Path, str], tmp_path: Path):
    again = plan(tmp_path, "+sweep=full", PYTHONHASHSEED="2")
    assert again.returncode == 0
    assert again.stdout == full[1]
    for name in TABLES:
        assert (tmp_path / "R" / name).read_bytes() == (full[0] / name).read_bytes()


def test_a_sweep_goes_to_whatever_cluster_is_named(tmp_path: Path):
    two_kinds = ["cluster.gpu=[a100-40,l4-24]", "cluster.gpus=[16,null]"]
    planned = plan(tmp_path, "+sweep=code", "cluster=existing", *two_kinds)
    assert planned.returncode == 0, planned.stderr
    assert "days) if 16 GPUs are always busy" in planned.stdout
    assert "the kind of GPU on which its tokens are cheapest" in planned.stdout


def test_what_fits_nowhere_is_said_with_what_would_and_is_no_fault_of_a_plan(tmp_path: Path):
    large = "sweep.models=[qwen3-0.6b,qwen3-32b]"
    planned = plan(tmp_path, "+sweep=code", large, "cluster.gpu=l4-24", "cluster.gpus=2")
    assert planned.returncode == 0, planned.stderr
    assert "no room" in planned.stdout and "the stage generate skips them" in planned.stdout
    assert "qwen3-32b.bf16 with 4 KV policies: one sequence takes " in planned.stdout
    assert "use 4 l4-24" in planned.stdout and "elsewhere they take" in planned.stdout
    engines = pq.read_table(tmp_path / "R" / "engines.parquet").to_pylist()
    unplaced = [row for row in engines if row["gpus"] is None]
    assert unplaced and all(row["est_gpu_hours"] is None for row in unplaced)
    assert all("qwen3-32b" in row["engine_id"] for row in unplaced)


def test_a_gpu_without_bf16_is_refused_before_it_is_taken(tmp_path: Path):
    refused = plan(tmp_path, "+sweep=code", "cluster.gpu=t4-16")
    assert refused.returncode != 0
    assert "vllm computes in bf16, which t4-16 lacks" in refused.stderr
    assert "torch computes in bf16, which t4-16 lacks; choose another cluster.gpu" in refused.stderr


def test_a_users_own_kind_of_gpu_is_suggested_where_an_engine_fits_nowhere(tmp_path: Path):
    mine = {"memory_mib": 200_000, "bandwidth_gb_s": 4000, "bf16_tflops": 1000}
    write_definition(tmp_path / "mine", "gpu", "mine-200", **mine)
    large = ["sweep.models=[qwen3-0.6b,qwen3-32b]", "cluster.gpu=l4-24", "cluster.gpus=2"]
    planned = plan(tmp_path, "--config-dir", "mine", "+sweep=code", *large)
    assert planned.returncode == 0, planned.stderr
    (suggested,) = re.findall(r"qwen3-32b\.bf16 with.*; use (.*)", planned.stdout)
    assert {"4 l4-24", "1 mine-200"} <= set(suggested.split(" or "))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "sweep.token_budgets=[2000,40000]",
            "sweep.token_budgets: 40000 does not fit the context of qwen3-0.6b, 40960 tokens",
        ),
        ("cluster.gpus=0", "cluster.gpus: 0 is out of range"),
        ("stages=[plan,generate]", "aime25.yaml: source: test.jsonl of math-ai/aime25"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(change: str, words: str, tmp_path: Path):
    refused = plan(tmp_path, "+sweep=full", change, HF_HUB_OFFLINE="1")
    assert refused.returncode == 2
    assert words in refused.stderr and refused.stderr.count("\n") == 1

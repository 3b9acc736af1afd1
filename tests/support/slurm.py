"""The Slurm script as a job: stubs of `srun` and `scontrol` act on this machine, and so may stubs of Ray."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from support.parts import written

from raysweep.storage.part import Part
from raysweep.system.exit_status import WORK_REMAINS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/slurm/raysweep.sbatch"
WAIT_S = 200
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

    def parts(self) -> dict[str, Part]:
        return written(self.folder / "runs")


def allocation(folder: Path) -> Slurm:
    """Of two nodes, which are this machine."""
    write_programs(folder / "bin", srun=SRUN, scontrol=SCONTROL)
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("RAY", "SLURM", "CUDA"))}
    return Slurm(
        folder,
        {
            **kept,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "CALLS": str(folder / "calls"),
            "RAYSWEEP_PYTHON": sys.executable,
            "SLURM_SUBMIT_DIR": str(folder),
            "SLURM_JOB_ID": str(free_job()),
            "SLURM_JOB_NODELIST": "localhost",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_ON_NODE": "1",
        },
    )


def stubbed_allocation(folder: Path) -> Slurm:
    """Of one node that is there, with stubs of Ray and of the driver.

    A driver ends with the status in the environment variable STATUS, or works until SIGTERM.
    """
    slurm = allocation(folder)
    write_programs(folder / "stubs", ray=RAY, python=PYTHON)
    (folder / "stubs/ray.py").write_text(RAY_MODULE)
    stubs = str(folder / "stubs")
    besides = {"RAYSWEEP_PYTHON": f"{stubs}/python", "PYTHONPATH": stubs, "JOINED": "1"}
    return Slurm(folder, {**slurm.environment, **besides, "SLURM_JOB_NUM_NODES": "1"})


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


def until(happens: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.1)

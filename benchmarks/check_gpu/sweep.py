"""Part 4: the first-look sweep as a user starts it, with engines that share the GPU. A dry run plans it."""

import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from benchmarks.check_gpu.rows import Case, Row, not_run
from benchmarks.check_gpu.setting import Setting

SHARE = 0.3  # of the GPU, for each engine
# Of +sweep=smoke: 2 models, 2 precisions and 2 policies; with 2 benchmarks, 3 budgets and 3 group sizes.
ENGINES, SCENARIOS = 8, 144
GRACE_S = 20  # in which a sweep that is stopped ends its Ray
LAST_WORDS = 1000  # characters of what a failed sweep has said
NAME = "+sweep=smoke"
# A table of the run, its rows, and what they are.
PLANNED, FINISHED = ("engines", ENGINES, "engines planned"), ("scenarios", SCENARIOS, "scenarios")


def cases(setting: Setting) -> Sequence[Case]:
    return [Case(NAME, partial(check, setting))]


def check(setting: Setting) -> Iterable[Row]:
    if importlib.util.find_spec("ray") is None:
        return [not_run(NAME, "Ray is not installed here")]
    table, wanted, what = PLANNED if setting.dry else FINISHED
    with TemporaryDirectory() as out:
        status, said = run(command(out, setting.dry), setting.deadline)
        if status:
            sys.stderr.write(said[-LAST_WORDS:])
        file = Path(out) / "smoke" / f"{table}.parquet"
        count = pq.read_metadata(file).num_rows if file.exists() else 0
    ok = status == 0 and count == wanted
    numbers = {"status": status, "count": count}
    expected = f"status 0, {wanted} {what}"
    return [Row(NAME, f"status {status}, {count} {what}", expected, ok, numbers)]


def command(out: str, dry: bool) -> list[str]:
    """All of the sweep, or its plan alone."""
    shared = [f"cluster.gpus_per_actor={SHARE}", f"cluster.actors={int(1 / SHARE)}"]
    changes = [f"out={out}", "sweep.backend=torch", *shared, *(["stages=[plan]"] if dry else [])]
    return [sys.executable, "-m", "raysweep", NAME, *changes]


def run(command: Sequence[str], deadline: float) -> tuple[int, str]:
    """Exit status and output. Raises TimeoutError if the command has not ended when its time is over."""
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    left = deadline - time.monotonic() - GRACE_S
    try:
        said, _ = process.communicate(timeout=None if left == float("inf") else max(0.0, left))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        process.communicate()
        raise TimeoutError from None
    return process.returncode, said

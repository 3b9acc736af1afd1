"""A finished run for the notebooks to look at: the embedded study, or else a small one that is made now."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import raysweep
from raysweep.finished_run import FinishedRun

ROOT = Path(__file__).parents[1]
RUNS = ("embedded", "smoke")  # `make demo` makes the first, in some minutes


def finished_run() -> FinishedRun:
    """The first run that is there and finished; the sweep `smoke` takes half a minute."""
    quiet()
    there = [name for name in RUNS if (ROOT / "runs" / name / "report/index.html").is_file()]
    if not there:
        command = [sys.executable, "-m", "raysweep", "+sweep=smoke"]
        folder = str(Path(raysweep.__file__).parents[1])  # it may not be installed
        paths = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, check=True)
    return raysweep.open_run(str(ROOT / "runs" / (there or ["smoke"])[0]))


def quiet() -> None:
    """No word on progress bars that would need another package, and no live ones of commands."""
    warnings.filterwarnings("ignore", message="IProgress not found")
    os.environ["FORCE_COLOR"] = ""  # the kernel's is 1, as if a terminal were there

"""A finished run for the notebooks to look at: the embedded study, or else a small one that is made now."""

import os
import subprocess
import sys
from pathlib import Path

import raysweep
from raysweep.notebook import Run

ROOT = Path(__file__).parents[1]
RUNS = ("embedded", "smoke")  # `make demo` makes the first, in some minutes


def finished_run() -> Run:
    """The first run that is there and finished; the sweep `smoke` takes half a minute."""
    there = [name for name in RUNS if (ROOT / "runs" / name / "report/index.html").is_file()]
    if not there:
        command = [sys.executable, "-m", "raysweep", "+sweep=smoke"]
        paths = os.pathsep.join(
            [str(Path(raysweep.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        )
        subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, check=True)
    return raysweep.open_run(str(ROOT / "runs" / (there or ["smoke"])[0]))

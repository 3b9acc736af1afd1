"""The stage status: how far the run is, and what is missing."""

from raysweep.stages.run import DONE, WORK_REMAINS, Run
from raysweep.status import lines, read_status


def run_stage(run: Run) -> int:
    """How far the run is, and what is missing."""
    found = read_status(run.config, run.store)
    for label, text in lines(found):
        run.say(label, text)
    return WORK_REMAINS if found.left else DONE

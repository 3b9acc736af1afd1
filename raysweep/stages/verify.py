"""The stage verify: whether everything in the folder is as it was written."""

from raysweep.stages.run import DONE, WORK_REMAINS, Run
from raysweep.verifying import verify_run


def run_stage(run: Run) -> int:
    """Whether everything in the folder is as it was written."""
    whole = verify_run(run.config, run.store, run.console, run.say)
    return DONE if whole else WORK_REMAINS

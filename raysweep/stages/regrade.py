"""The stage regrade: the stored answers graded again."""

import os

from raysweep.regrade import regrade_run
from raysweep.stages.run import DONE, Run
from raysweep.workers import Workers


def run_stage(run: Run) -> int:
    """Grade the stored answers again, by the graders of the configuration as they are now."""
    with Workers(os.cpu_count() or 1) as workers:
        changes = regrade_run(run.config, run.store, workers)
    for name, found in changes.items():
        run.say("regrade", f"{name}: {found.answers:,} answers, {found.reread:,} read otherwise")
        for change, count in sorted(found.outcomes.items()):
            run.say("", f"{count:,} {change}")
    return DONE

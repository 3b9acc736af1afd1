"""The stage regrade: grade the stored answers again."""

import os

from raysweep.errors import shown
from raysweep.stages.context import Context
from raysweep.system.exit_status import DONE
from raysweep.system.workers import Workers
from raysweep.upkeep.regrade import regrade_run


def run_stage(run: Context) -> int:
    """Grade the stored answers again, with the present graders of the configuration."""
    with Workers(os.cpu_count() or 1) as workers:
        changes = regrade_run(run.config, run.folder.parts, run.store, workers)
    run.folder.forget()
    for name, found in changes.items():
        run.say(
            "regrade", f"{name}: {found.answers:,} answers, {found.reread:,} extracted differently"
        )
        for question_id, former in found.corrected.items():
            run.say("", f"the gold answer of {question_id} was {shown(former)} before")
        for change, count in sorted(found.outcomes.items()):
            run.say("", f"{count:,} {change}")
    return DONE

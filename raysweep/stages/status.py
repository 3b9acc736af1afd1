"""The stage status: how far the run is, and what is missing."""

from raysweep.adaptive.course import course_of
from raysweep.progress.status import lines, read_status
from raysweep.reporting.adaptive_text import course_lines
from raysweep.stages.context import Context
from raysweep.system.exit_status import DONE, WORK_REMAINS


def run_stage(run: Context) -> int:
    """Print how far the run is, and what is missing."""
    found = read_status(run.folder.plan, run.store, run.folder.newest)
    for label, text in lines(found):
        run.say(label, text)
    rounds = run.folder.rounds
    if rounds is None:
        return WORK_REMAINS if found.left else DONE
    for label, text in course_lines(course_of(rounds), run.config.sweep.samples):
        run.say(label, text)
    return WORK_REMAINS if found.left or not rounds.done else DONE

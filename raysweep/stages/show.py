"""The stage show: what a model is asked, and how it is made to answer."""

from raysweep.printing import printable
from raysweep.show import shown_question
from raysweep.stages.run import DONE, Run


def run_stage(run: Run) -> int:
    """What a model is asked, and how it is made to answer."""
    for line in shown_question(run.config):
        run.console.out(printable(line, lines=True), highlight=False)
    return DONE

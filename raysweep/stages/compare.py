"""The stage compare: a finished run beside what others have published, in tables and as comparison.json."""

from raysweep.reporting.comparison_text import comparison, lines, tables, write_comparison
from raysweep.stages.context import Context, need
from raysweep.storage import result_files
from raysweep.system.exit_status import DONE


def run_stage(run: Context) -> int:
    """A finished run beside what others have published. A run that has none of it is done too."""
    need(run, result_files.SCORES, "reduce")
    found = comparison(run.config, run.store)
    for table in tables(found):
        run.console.print(table)
    for line in lines(found):
        run.say(line.label, line.text)
    run.say("compare", write_comparison(found, run.store))
    return DONE

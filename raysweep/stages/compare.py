"""The stage compare: a finished run beside what others have published, or beside another run.

The first writes comparison.json, the second (`compare_with`) run_comparison.json.
"""

from raysweep.reporting import two_runs_text
from raysweep.reporting.comparison_text import comparison, lines, tables, write_comparison
from raysweep.reporting.two_runs import two_runs
from raysweep.stages.context import Context, need
from raysweep.storage import result_files
from raysweep.storage.address import below
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE


def run_stage(run: Context) -> int:
    """A finished run beside another one, or else beside published figures, of which it may have none."""
    need(run, result_files.SCORES, "reduce")
    if run.config.compare_with is not None:
        return _beside_another_run(run, run.config.compare_with)
    found = comparison(run.config, run.store)
    for table in tables(found):
        run.console.print(table)
    for line in lines(found):
        run.say(line.label, line.text)
    run.say("compare", write_comparison(found, run.store))
    return DONE


def _beside_another_run(run: Context, other: str) -> int:
    found = two_runs(run.store, Store(other_run(run.config.out, other)))
    for table in two_runs_text.tables(found):
        run.console.print(table)
    for line in two_runs_text.lines(found):
        run.say(line.label, line.text)
    run.say("compare", two_runs_text.write_two_runs(found, run.store))
    return DONE


def other_run(out: str, named: str) -> str:
    """The address of another run: below `out` if it is a plain name."""
    return named if "/" in named else below(out, named)

"""The stage report: the page, the figures, and the frontier in the terminal."""

from raysweep.exit_status import DONE
from raysweep.reporting.page import write_report
from raysweep.reporting.terminal import frontier_table
from raysweep.stages.context import Context, need
from raysweep.storage import result_files


def run_stage(run: Context) -> int:
    """The page, the figures, and the frontier in the terminal."""
    need(run, result_files.SCORES, "reduce")
    path = write_report(run.store)
    frontier = run.store.read_table(result_files.FRONTIER).to_pandas()
    for benchmark in run.config.sweep.benchmarks:
        run.console.print(frontier_table(frontier, benchmark.name, run.config.sweep.batch_sizes[0]))
    run.say("report", path)
    return DONE

"""The stage report: the page, the figures, and the frontier in the terminal."""

from raysweep.reporting.controls import comparisons, overview
from raysweep.reporting.doubts import doubts
from raysweep.reporting.page import write_report
from raysweep.reporting.quality import same_caches
from raysweep.reporting.results import read_results
from raysweep.reporting.terminal import MOST_ROWS, frontier_table
from raysweep.reporting.verdict_table import verdict_table
from raysweep.stages.context import RED, Context, need
from raysweep.storage import result_files
from raysweep.system.exit_status import DONE


def run_stage(run: Context) -> int:
    """The page, the figures, and the frontier in the terminal."""
    need(run, result_files.SCORES, "reduce")
    results, batch_size = read_results(run.store), run.config.sweep.batch_sizes[0]
    path = write_report(results, run.store)
    for benchmark in run.config.sweep.benchmarks:
        count = int((results.scenarios.benchmark == benchmark.name).sum())
        table = frontier_table(
            results.frontier, benchmark.name, batch_size, count, run.console.width
        )
        run.console.print(table)
    for name in results.findings.benchmark.unique().tolist():
        run.console.print(verdict_table(results, name, batch_size))
    for doubt in doubts(results.scenarios):
        run.say("doubt", doubt, RED)
    compared = overview(comparisons(results.controls))
    for sentence in compared[:MOST_ROWS]:
        run.say("control", sentence)
    if len(compared) > MOST_ROWS:
        rest = f"and {len(compared) - MOST_ROWS:,} others; {result_files.CONTROLS} and the page have all"
        run.say("", rest)
    for sentence in same_caches(results.summary):
        run.say("note", sentence)
    run.say("report", path)
    return DONE

"""The stage reduce: samples to scenarios and frontiers."""

from collections.abc import Mapping

from raysweep import grading
from raysweep.record import add_to_summary, origin
from raysweep.reduce import reduce_run
from raysweep.regrade import check_graders
from raysweep.stages.run import DONE, RED, WORK_REMAINS, Run

MOST_NAMED = 3  # incomplete engines that are named


def run_stage(run: Run) -> int:
    """Samples to scenarios and frontiers."""
    check_graders(run.config, run.store.parts())
    summary = reduce_run(run.config, run.store).summary
    graders = {b.name: grading.tag(b.grader) for b in run.config.sweep.benchmarks}
    add_to_summary(run.store, {**origin(run.store, run.config), "graders": graders})
    run.say("reduce", f"{summary['scenarios']:,} scenarios from {summary['samples']:,} samples")
    for path in summary["parts_set_aside"]:
        run.say("damaged", f"{path}: set aside, its samples are to be made again", RED)
    if not summary["shards_missing"]:
        return DONE
    run.say(
        "",
        f"{summary['shards_missing']:,} of {summary['shards']:,} shards are missing, so "
        f"{summary['scenarios_skipped']:,} scenarios could not be computed for lack of samples; "
        "the stage generate makes them",
    )
    run.say("", _incomplete(summary["incomplete"]))
    return WORK_REMAINS


def _incomplete(missing: Mapping[str, int]) -> str:
    """The first few engines that lack samples, and how many do."""
    named = [f"{name} ({count:,} samples)" for name, count in list(missing.items())[:MOST_NAMED]]
    others = len(missing) - len(named)
    return "incomplete: " + ", ".join(named) + (f" and {others:,} others" if others else "")

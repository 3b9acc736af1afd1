"""The stage plan: what is to do, what it costs, and what is done already."""

from raysweep.planning.gpu_options import has_known_gpus
from raysweep.reporting.plan_text import engines_table, plan_lines
from raysweep.stages.context import DONE, RED, Context


def run_stage(run: Context) -> int:
    """What is to do, what it costs, and what is done already."""
    run.folder.write_plan()
    planned, costs = run.folder.plan, run.folder.costs
    homeless = any(cost.placement is None for cost in costs)
    known = run.known_gpus if homeless else ()
    for line in plan_lines(run.config, planned, costs, known):
        run.say(line.label, line.text, RED if line.urgent else "bold")
    if has_known_gpus(run.config.cluster):
        run.console.print(engines_table(run.config, costs))
    return DONE

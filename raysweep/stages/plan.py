"""The stage plan: what the run consists of, what it costs, and what is already finished."""

from raysweep.configuration.prompts import rendered_prompts
from raysweep.reporting.adaptive_plan import rounds_lines
from raysweep.reporting.plan_text import engines_table, plan_lines
from raysweep.stages.context import RED, Context
from raysweep.stages.grading_checks import check_golds
from raysweep.stages.savings import full_run, so_far
from raysweep.system.exit_status import DONE
from raysweep.upkeep.growing import check_growing


def run_stage(run: Context) -> int:
    """Write the plan, and print it with its cost."""
    run.folder.write_plan()
    planned, costs = run.folder.plan, run.folder.costs
    if planned.to_do:
        prompts = rendered_prompts(run.config, planned.to_do, fetch=False)
        check_growing(run.config, planned.parts, prompts)
        check_golds(run.config)
    unplaced = any(cost.placement is None for cost in costs)
    known = run.known_gpus if unplaced else ()
    lines = [*plan_lines(run.config, planned, costs, known)]
    if run.config.sweep.adaptive is not None:
        lines += rounds_lines(run.config, so_far(run.folder), full_run(run.folder))
    for line in lines:
        run.say(line.label, line.text, RED if line.urgent else "bold")
    if run.config.cluster.kinds:
        run.console.print(engines_table(run.config, costs, run.console.width))
    return DONE

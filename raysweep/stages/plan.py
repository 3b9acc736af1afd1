"""The stage plan: what is to do, what it costs, and what is done already."""

from raysweep.configuration.cluster import known_gpus
from raysweep.configuration.config import conf_folder
from raysweep.estimate import estimates
from raysweep.placing import has_known_gpus
from raysweep.plan_files import write_plan
from raysweep.reporting.plan_text import engines_table, plan_lines
from raysweep.stages.run import DONE, RED, Run


def run_stage(run: Run) -> int:
    """What is to do, what it costs, and what is done already."""
    planned = write_plan(run.config, run.store)
    costs = estimates(run.config, planned)
    homeless = any(cost.placement is None for cost in costs)
    known = known_gpus([conf_folder()]) if homeless else ()
    for line in plan_lines(run.config, planned, costs, known):
        run.say(line.label, line.text, RED if line.urgent else "bold")
    if has_known_gpus(run.config.cluster):
        run.console.print(engines_table(run.config, costs))
    return DONE

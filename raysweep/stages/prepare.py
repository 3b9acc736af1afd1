"""The stage prepare: make the missing quantised checkpoints, on Ray."""

from raysweep.checkpoints.engine_files import is_there, makings
from raysweep.stages.context import RED, Context
from raysweep.system.exit_status import DONE, WORK_REMAINS


def run_stage(run: Context) -> int:
    """Make the missing quantised checkpoints, on Ray."""
    wanted = tuple(makings(run.config))
    missing = tuple(making for making in wanted if not is_there(making.checkpoint))
    if not missing:
        if wanted:
            run.say("prepare", f"nothing to do: {len(wanted)} of {len(wanted)} checkpoints exist")
        return DONE
    from raysweep.driver.prepare import Made
    from raysweep.driver.prepare import prepare as make

    def ended(made: Made) -> None:
        name = f"{made.making.recipe.weights.slug} of {made.making.recipe.model.name}"
        if made.failure:
            run.say("failed", f"{name}: {made.failure}", style=RED)
        else:
            run.say("prepared", f"{name}: {made.making.checkpoint.path}")

    run.say("prepare", f"{len(missing)} of {len(wanted)} checkpoints are missing; starting Ray")
    with run.console.status("quantising"):
        outcomes = make(missing, run.config.cluster, ended)
    return WORK_REMAINS if any(made.failure for made in outcomes) else DONE

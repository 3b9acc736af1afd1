"""The stage prepare: quantise what nobody has quantised yet, on Ray."""

from raysweep.checkpoints.engine_files import is_there, makings
from raysweep.stages.context import DONE, RED, WORK_REMAINS, Context


def run_stage(run: Context) -> int:
    """Quantise what nobody has quantised yet, on Ray."""
    wanted = tuple(makings(run.config))
    missing = tuple(making for making in wanted if not is_there(making.checkpoint))
    if not missing:
        if wanted:
            run.say("prepare", f"nothing to do: all {len(wanted)} checkpoints are there")
        return DONE
    from raysweep.driver.prepare import Made
    from raysweep.driver.prepare import prepare as make

    def ended(made: Made) -> None:
        name = f"{made.making.recipe.weights.slug} of {made.making.recipe.model.name}"
        if made.failure:
            run.say("failed", f"{name}: {made.failure}", style=RED)
        else:
            run.say("prepared", f"{name}: {made.making.checkpoint.path}")

    run.say("prepare", f"{len(missing)} of {len(wanted)} checkpoints to quantise, starting Ray")
    with run.console.status("quantising"):
        outcomes = make(missing, run.config.cluster, ended)
    return WORK_REMAINS if any(made.failure for made in outcomes) else DONE

"""The stage prepare: make the missing quantised checkpoints, on Ray."""

from raysweep.checkpoints.engine_files import Making, is_there, makings
from raysweep.progress.quantising import show_layers
from raysweep.stages.context import RED, Context
from raysweep.system.exit_status import DONE, WORK_REMAINS
from raysweep.system.sigterm import Terminated


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
        if made.failure:
            run.say("failed", f"{_named(made.making)}: {made.failure}", style=RED)
        else:
            run.say("prepared", f"{_named(made.making)}: {made.making.checkpoint.path}")

    run.say("prepare", f"{len(missing)} of {len(wanted)} checkpoints are missing; starting Ray")
    try:
        with show_layers(run.console) as show:

            def tell(making: Making, done: int) -> None:
                show(_named(making), done, making.recipe.model.architecture.layers)

            outcomes = make(missing, run.config.cluster, ended, tell)
    except Terminated:
        run.say("stopped", "SIGTERM: checkpoints in work are dropped, finished ones stay", RED)
        raise
    return WORK_REMAINS if any(made.failure for made in outcomes) else DONE


def _named(making: Making) -> str:
    return f"{making.recipe.weights.slug} of {making.recipe.model.name}"

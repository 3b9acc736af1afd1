"""The stage compact: move the samples of each engine into fewer, larger files."""

from raysweep.stages.context import RED, Context
from raysweep.system.exit_status import DONE, WORK_REMAINS
from raysweep.system.quantities import plural
from raysweep.upkeep.compacting import Compactor, compactor_of

# Engines that are compacted side by side. Each needs some 200 MB.
THREADS = 2


def run_stage(run: Context) -> int:
    """Compact all engines, whether they are done or not."""
    run.folder.look()
    parts = run.folder.parts
    with compactor_of(run.config, run.store, parts, fewest=2, threads=THREADS) as compactor:
        for engine_id in sorted({part.engine_id for part in parts}):
            compactor.compact(engine_id)
        whole = show_compacted(run, compactor)
    files = len({part.file for part in run.folder.parts})
    run.say("", f"{plural(len(parts), 'part')} in {plural(files, 'file')}")
    return DONE if whole else WORK_REMAINS


def show_compacted(run: Context, compactor: Compactor) -> bool:
    """Wait for the engines, and print what was done. Gives whether none was left as it is."""
    done, troubles = compactor.results()
    run.folder.look()
    if done.files:
        run.say(
            "compact", f"moved samples from {plural(done.files, 'file')} into {done.into:,} larger"
        )
    for trouble in troubles:
        run.say("compact", trouble, RED)
    return not troubles

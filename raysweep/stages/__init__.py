"""The stages of a run, in order. Each reads files of the run's folder and writes files there.

    plan -> prepare -> (regrade ->) generate -> (compact ->) reduce -> (traces ->) report
         (-> recommend, compare, publish)

Four more check or describe: `show` prints what a model is asked, `status` how far the run is, `verify`
whether the folder is sound, and `simulate` how long the run takes on a given cluster.

A stage uses only files that earlier stages wrote, so each can be run alone and later. Generate and reduce
start from the finished parts in the folder, not from an earlier plan. Each stage is a module in this folder,
which is imported when it runs.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from raysweep.errors import ConfigError, StorageRefused
from raysweep.run_config import RunConfig
from raysweep.stages.context import RED, Context, context_of
from raysweep.stages.folder import check_folder, claim_folder
from raysweep.storage.address import below
from raysweep.storage.lease import LeaseLost, leased
from raysweep.storage.record import Document
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE, WORK_REMAINS

# The stages that write tables or pages, before which unfinished ones of killed commands are removed.
WRITING_STAGES = {"plan", "generate", "reduce", "report", "compare"}
# The stages for which damaged parts are set aside first.
SAMPLE_STAGES = {"status", "plan", "generate", "compact", "reduce", "traces"}


def run_stages(config: RunConfig, document: Document, definitions: tuple[Path, ...] = ()) -> int:
    """Run the configured stages. Gives the exit status.

    definitions  folders of definitions, raysweep's own if empty

    Raises ConfigError if the folder holds another run, or if a file that a stage reads is missing.
    """
    store = Store(below(config.out, config.run))
    run = context_of(config, document, store, definitions)
    if config.stages == ("show",):
        return stage_named("show")(run)
    try:
        with ExitStack() as ended:
            with _opened():
                check_folder(store, config)
                lease = ended.enter_context(leased(store.folder, drives(config), run.say))
                run = context_of(config, document, replace(store, lease=lease), definitions)
                claim_folder(run.store, config, document)
            if WRITING_STAGES & set(config.stages):
                run.store.remove_unfinished_results()
            return _run_stages(run)
    except LeaseLost as lost:
        run.say("stopped", str(lost), RED)
        return WORK_REMAINS


def drives(config: RunConfig) -> bool:
    """Whether the run writes, rewrites or moves samples, for which it takes the lease."""
    repairs = "verify" in config.stages and config.verify.repair
    return repairs or bool({"generate", "regrade", "compact"} & set(config.stages))


@contextmanager
def _opened() -> Iterator[None]:
    """Call a folder that this user may not use bad input, since nothing has been done in it yet."""
    try:
        yield
    except StorageRefused as refused:
        raise ConfigError(str(refused).replace("storage:", "out:", 1)) from refused


def _run_stages(run: Context) -> int:
    if SAMPLE_STAGES & set(run.config.stages):
        run.folder.look()
    status = DONE
    for stage in run.config.stages:
        status = max(status, stage_named(stage)(run))
    return status


def stage_named(name: str) -> Callable[[Context], int]:
    """The function that runs a stage and gives an exit status."""
    return import_module(f"{__name__}.{name}").run_stage

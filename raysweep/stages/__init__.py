"""The stages of a run, in order: each reads files of the run's folder and writes files there.

    plan -> prepare -> (regrade ->) generate -> reduce -> report (-> recommend)

and two that print and write no file: `show`, what a model is asked, and `status`, how far the run is.

A stage takes nothing from the one before but what it wrote, so any of them may be run alone, later:
generate and reduce start from the parts that lie in the folder, whatever an earlier plan said.
Each is a module here, which is imported when its turn has come.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from rich.console import Console

from raysweep.run_config import RunConfig
from raysweep.stages.context import DONE, RED, WORK_REMAINS, Context
from raysweep.stages.folder import check_folder, claim_folder
from raysweep.stages.folder_view import FolderView
from raysweep.storage.address import below
from raysweep.storage.lease import LeaseLost, leased
from raysweep.storage.record import Document
from raysweep.storage.store import Store

SAMPLE_STAGES = {"status", "plan", "generate", "reduce"}  # those that look at parts


def run_stages(config: RunConfig, document: Document, definitions: tuple[Path, ...] = ()) -> int:
    """Run the configured stages; the exit status.

    definitions  folders that hold definitions; empty: raysweep's own

    Raises ConfigError where the folder holds another run, or lacks what a stage reads.
    """
    store = Store(below(config.out, config.run))
    run = Context(
        config, document, store, Console(file=sys.stdout), FolderView(config, store), definitions
    )
    if config.stages == ("show",):
        return stage_named("show")(run)
    check_folder(store, config)
    try:
        with leased(store.folder, drives(config), run.say) as lease:
            own = replace(store, lease=lease)
            return _run_stages(replace(run, store=own, folder=FolderView(config, own)))
    except LeaseLost as lost:
        run.say("stopped", str(lost), RED)
        return WORK_REMAINS


def drives(config: RunConfig) -> bool:
    """Whether the run writes or moves samples."""
    repairs = "verify" in config.stages and config.verify.repair
    return repairs or bool({"generate", "regrade"} & set(config.stages))


def _run_stages(run: Context) -> int:
    claim_folder(run.store, run.config, run.document)
    if SAMPLE_STAGES & set(run.config.stages):
        for path in run.folder.look():
            run.say(
                "damaged",
                f"{path} cannot be read: set aside, its samples are to be made again",
                RED,
            )
    status = DONE
    for stage in run.config.stages:
        status = max(status, stage_named(stage)(run))
    return status


def stage_named(name: str) -> Callable[[Context], int]:
    """The function of a stage, which gives an exit status."""
    return import_module(f"{__name__}.{name}").run_stage

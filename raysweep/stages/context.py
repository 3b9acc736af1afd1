"""What every stage is given: the configuration, the run's folder, and a way to print a line."""

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from raysweep.configuration.cluster import known_gpus
from raysweep.configuration.config import conf_folder
from raysweep.errors import ConfigError
from raysweep.run_config import Gpu, RunConfig
from raysweep.stages.folder_view import FolderView
from raysweep.storage.record import Document
from raysweep.storage.store import Store
from raysweep.system.safe_text import printable, without_secrets

RED = "red"


@dataclass(frozen=True)
class Context:
    """What every stage is given.

    document     the run as config.yaml describes it
    folder       the parts in the run's folder, and the plan that follows from them
    definitions  folders of definitions, the user's own included; empty for raysweep's alone
    """

    config: RunConfig
    document: Document
    store: Store
    console: Console
    folder: FolderView
    definitions: tuple[Path, ...] = ()

    @property
    def known_gpus(self) -> tuple[Gpu, ...]:
        """Every kind of GPU that is defined, by the user or by raysweep."""
        return known_gpus(self.definitions or (conf_folder(),))

    def say(self, label: str, text: str, style: str = "bold") -> None:
        """Print a line. Its text is literal, since ids, paths and reasons may look like markup."""
        say(self.console, label, text, style)


def context_of(
    config: RunConfig, document: Document, store: Store, definitions: tuple[Path, ...] = ()
) -> Context:
    """What the stages of a command are given; damaged parts are told whichever stage finds them."""
    console = Console(file=sys.stdout)

    def tell(path: str) -> None:
        text = f"{path} cannot be read; it was set aside, and its samples count as missing"
        say(console, "damaged", text, RED)

    return Context(config, document, store, console, FolderView(config, store, tell), definitions)


def say(console: Console, label: str, text: str, style: str) -> None:
    line = Text.assemble((f"{label:<10}", style), printable(without_secrets(text)))
    console.print(line, soft_wrap=True)


def need(run: Context, name: str, stage: str) -> None:
    """Raise ConfigError if a file that an earlier stage writes is missing."""
    if not run.store.exists(name):
        raise ConfigError(
            f"stages: {run.store.path(name)} is missing; run the stage {stage!r} first"
        )

"""What every stage is given: the run, its folder as it was looked at, and a way to speak."""

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

DONE, WORK_REMAINS = 0, 3
RED = "red"


@dataclass(frozen=True)
class Context:
    """What every stage is given."""

    config: RunConfig
    document: Document
    store: Store
    console: Console
    folder: FolderView
    definitions: tuple[Path, ...] = ()  # folders that hold definitions, the user's own too

    @property
    def known_gpus(self) -> tuple[Gpu, ...]:
        """Every kind of GPU that is defined, by the user or by raysweep."""
        return known_gpus(self.definitions or (conf_folder(),))

    def say(self, label: str, text: str, style: str = "bold") -> None:
        """Print a line in literal text: ids, paths and reasons are not ours, and no markup."""
        line = Text.assemble((f"{label:<10}", style), printable(without_secrets(text)))
        self.console.print(line, soft_wrap=True)


def need(run: Context, name: str, stage: str) -> None:
    if not run.store.exists(name):
        raise ConfigError(
            f"stages: {run.store.path(name)} is not there; run the stage {stage!r} first"
        )

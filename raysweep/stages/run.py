"""What every stage is given, and its exit statuses."""

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from raysweep.errors import ConfigError
from raysweep.printing import printable, without_secrets
from raysweep.record import Document
from raysweep.run_config import RunConfig
from raysweep.store import Store

DONE, WORK_REMAINS = 0, 3
RED = "red"


@dataclass(frozen=True)
class Run:
    """What every stage is given."""

    config: RunConfig
    document: Document
    store: Store
    console: Console

    def say(self, label: str, text: str, style: str = "bold") -> None:
        """Print a line in literal text: ids, paths and reasons are not ours, and no markup."""
        line = Text.assemble((f"{label:<10}", style), printable(without_secrets(text)))
        self.console.print(line, soft_wrap=True)


def need(run: Run, name: str, stage: str) -> None:
    if not run.store.exists(name):
        raise ConfigError(
            f"stages: {run.store.path(name)} is not there; run the stage {stage!r} first"
        )

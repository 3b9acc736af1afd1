"""raysweep: how to spend a memory budget on reasoning models. `open_run` is for notebooks."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raysweep.notebook import Run


def open_run(path: str) -> "Run":
    """A run's tables as pandas, and the study's questions put to them; `path` is its folder or address."""
    from raysweep.notebook import open_run as opened  # pandas loads slowly

    return opened(path)

"""raysweep: how to spend a memory budget on reasoning models.

For Python and notebooks, without Ray, torch or a GPU:

    open_run   a finished run: its tables as pandas, the study's analyses, the report's figures
    catalogue  models, precisions, KV policies and kinds of GPU by name
    memory     bytes of weights and KV cache
    metrics    pass@k, exact maj@k, best-of-k
    frontier   which configurations are worth their memory
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raysweep import catalogue, frontier, memory, metrics
    from raysweep.finished_run import FinishedRun

__all__ = ["catalogue", "frontier", "memory", "metrics", "open_run"]


def open_run(path: str) -> "FinishedRun":
    """A finished run: its tables as pandas and the study's analyses. `path` is its folder or address.

    Raises ConfigError if there is no run at `path`.

    >>> run = open_run("runs/smoke")
    >>> len(run.scenarios), sorted(run.scenarios.benchmark.unique())
    (144, ['chain', 'facts'])
    >>> chain = run.frontier.query("benchmark == 'chain' and batch_size == 1")
    >>> bool(chain.expected.is_monotonic_increasing)
    True
    """
    from raysweep.finished_run import open_run as opened

    return opened(path)


def __getattr__(name: str) -> Any:
    """The public modules, imported on first use."""
    if name in __all__:
        return importlib.import_module(f"raysweep.{name}")
    raise AttributeError(f"module 'raysweep' has no attribute {name!r}")

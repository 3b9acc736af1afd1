"""Benchmarks: one loader per module, and the files that loaders read.

A loader is a function that yields the same questions for the same arguments. Its parameters are the keys of
the benchmark's definition in conf/benchmark/, and those with a default are optional. Most data sets need
only a definition for the loader `table`. To add a loader to raysweep, write its module and name it in
LOADERS. A user's own loader is named by its import path.
"""

from collections.abc import Callable, Iterable
from typing import cast

from raysweep.benchmarks import chain, facts, gpqa, livecodebench, table
from raysweep.spec import Question
from raysweep.system import import_path

Loader = Callable[..., Iterable[Question]]

LOADERS: dict[str, Loader] = {
    "chain": chain.questions,
    "facts": facts.questions,
    "gpqa": gpqa.questions,
    "livecodebench": livecodebench.questions,
    "table": table.questions,
}


def load_loader(name: str) -> Loader:
    """The loader of a name or an import path. Raises ValueError if it does not exist."""
    loader = LOADERS.get(name) or import_path.load(name)
    if not callable(loader):
        raise ValueError(f"{name!r} is not a function")
    return cast(Loader, loader)

"""Benchmarks: one loader a module; the files they read; and how answers are graded.

A loader is a function that yields questions, the same for the same arguments. Its parameters are the keys
of the benchmark's definition in conf/benchmark/, and those with a default may be left out. Most data sets
need no loader of their own, but a definition for `table`. To add one to raysweep, write a module with that
function, and name it in LOADERS; a user's own is named by its import path.
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
    """The loader that a name or an import path stands for. Raises ValueError if there is none."""
    loader = LOADERS.get(name) or import_path.load(name)
    if not callable(loader):
        raise ValueError(f"{name!r} is not a function")
    return cast(Loader, loader)

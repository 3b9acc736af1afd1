"""Benchmarks: one loader a module; the files they read; and how answers are graded.

A loader is a function that yields questions, the same for the same arguments. Its parameters are the keys
of the benchmark's definition in conf/benchmark/, and those with a default may be left out. Most data sets
need no loader of their own, but a definition for `table`. To add one, write a module with that function,
and name it in LOADERS.
"""

from collections.abc import Callable, Iterator

from raysweep.benchmarks import chain, facts, gpqa, livecodebench, table
from raysweep.spec import Question

LOADERS: dict[str, Callable[..., Iterator[Question]]] = {
    "chain": chain.questions,
    "facts": facts.questions,
    "gpqa": gpqa.questions,
    "livecodebench": livecodebench.questions,
    "table": table.questions,
}

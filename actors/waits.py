"""Seconds that this process has waited for others, which count neither as its work nor as its engine's load.

An engine that loads waits for its turn on a shared GPU, and for files that are fetched, perhaps by another
process. How long that takes depends on what else runs, and on what an earlier run has left on the disk.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

_seconds: list[float] = []


@contextmanager
def waiting() -> Iterator[None]:
    """Count what happens within as waiting, also if it fails. It must not be nested."""
    started = time.perf_counter()
    try:
        yield
    finally:
        _seconds.append(time.perf_counter() - started)


def waited_s() -> float:
    """All seconds so far."""
    return sum(_seconds)

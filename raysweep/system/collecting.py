"""Python's garbage collection while many objects are made that stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Python's own first threshold is 700.
NEW_OBJECTS = 100_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for garbage seldom in the context, in which tens of thousands of lasting objects are made.

    Python would search them for cycles again and again, which took a third of the time of a plan.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(NEW_OBJECTS, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)

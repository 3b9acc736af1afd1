"""Linear algebra on one thread, for matrices that are too small to share.

The threads of a BLAS wait for each other by spinning. At the sizes of an analysis this takes several times
the CPU time of the work itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def linear_algebra_on_one_thread() -> Iterator[None]:
    """Keep NumPy's linear algebra on the calling thread."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield

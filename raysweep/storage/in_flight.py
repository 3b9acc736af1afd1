"""How many requests to a storage are in flight at once, and work done side by side.

The width of a storage has nothing to do with the number of cores: a request to an object store is mostly
waiting. `Gate` starts narrow and grows with each success. When the storage throttles, it halves, and then
grows slowly, as TCP does. All folders of a process on the same storage share one gate.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from raysweep.storage.trouble import is_transient

Item = TypeVar("Item")
Result = TypeVar("Result")

# Requests in flight: at first, and at most.
FIRST, MOST = 8, 64
# The most bytes of files that are read ahead.
MOST_BYTES = 256_000_000


class Gate:
    """Lets at most `width` requests through at once."""

    def __init__(self, first: int = FIRST, most: int = MOST):
        self.width, self.most = float(first), most
        self._free = threading.Condition()
        self._inside = 0
        self._throttled = 0  # how often the gate was halved

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for room for a request, which is made in the context. A transient error is a throttle."""
        with self._free:
            self._free.wait_for(lambda: self._inside < int(self.width))
            self._inside += 1
            before = self._throttled
        try:
            yield
        except OSError as error:
            self._leave(before, throttled=is_transient(error), succeeded=False)
            raise
        except BaseException:
            self._leave(before, throttled=False, succeeded=False)
            raise
        self._leave(before, throttled=False, succeeded=True)

    def _leave(self, before: int, throttled: bool, succeeded: bool) -> None:
        """End a request that began when the gate had been halved `before` times.

        Requests that were in flight together and all failed halve the gate once.
        """
        with self._free:
            self._inside -= 1
            if throttled and before == self._throttled:
                self._throttled += 1
                self.width = max(1.0, self.width / 2)
            elif succeeded:
                step = 1.0 / self.width if self._throttled else 1.0
                self.width = min(float(self.most), self.width + step)
            self._free.notify_all()


def side_by_side(
    act: Callable[[Item], Result],
    items: Iterable[Item],
    most: int,
    bytes_of: Callable[[Item], int] = lambda item: 0,
) -> Generator[Result]:
    """The results of `act`, in the order of the items, of which several are worked on at once.

    most      how many items are worked on at once; twice as many may have been begun and not been taken
    bytes_of  the bytes that an item has in memory; together at most MOST_BYTES, unless one has more

    An error of an item is raised in its turn, and items that have not begun are then left.
    """
    begun: deque[tuple[Future[Result], int]] = deque()
    held = 0
    with ThreadPoolExecutor(most) as threads:
        try:
            for item in items:
                size = bytes_of(item)
                while begun and (len(begun) >= 2 * most or held + size > MOST_BYTES):
                    future, freed = begun.popleft()
                    yield future.result()
                    held -= freed
                begun.append((threads.submit(act, item), size))
                held += size
            while begun:
                yield begun.popleft()[0].result()
        finally:
            threads.shutdown(wait=True, cancel_futures=True)

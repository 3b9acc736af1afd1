"""SIGTERM, as cluster managers send it: what runs ends as by Ctrl-C, or where it can, is drained first."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises Terminated as long as the context lasts, whatever handlers others have installed."""
    received: list[int] = []

    def interrupt(number: int, frame: Any) -> None:
        received.append(number)
        raise Terminated

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt as interruption:
        # What a handler raises within Ray's calls comes out of them as a plain KeyboardInterrupt.
        if received and not isinstance(interruption, Terminated):
            raise Terminated from interruption
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def drained() -> Iterator[Callable[[], float | None]]:
    """The first SIGTERM is taken note of: gives a function that tells the seconds since, None before it.

    At the second one, what would have been done at the first is done.
    """
    received: list[float] = []

    def note(number: int, frame: Any) -> None:
        if received and callable(before):
            before(number, frame)
        received.append(time.monotonic())

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield lambda: time.monotonic() - received[0] if received else None
    finally:
        signal.signal(signal.SIGTERM, before)


class Terminated(KeyboardInterrupt):
    """An interruption by SIGTERM, as cluster managers send it: everything is tidied up alike."""

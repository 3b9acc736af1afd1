"""Handles SIGTERM from cluster managers. The program ends as after Ctrl-C, or drains its work first."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises Terminated within the context, whatever handler was installed before."""
    received: list[int] = []

    def interrupt(number: int, frame: Any) -> None:
        received.append(number)
        raise Terminated

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt as interruption:
        # Ray turns an exception that a handler raises inside its calls into a plain KeyboardInterrupt.
        if received and not isinstance(interruption, Terminated):
            raise Terminated from interruption
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def drained() -> Iterator[Callable[[], float | None]]:
    """The first SIGTERM is only recorded, and a second one has its usual effect.

    Yields a function that returns the seconds since the first SIGTERM, or None before it.
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
    """An interruption by SIGTERM. As a KeyboardInterrupt, it cleans up like Ctrl-C."""

"""The threads that watch a cluster end before its Ray does."""

import threading
import time
from collections.abc import Callable

import pytest

from raysweep.driver import head_watch
from raysweep.driver.head_watch import ClusterView


def closed_in_a_look(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], object]) -> None:
    """Close a view while its thread waits for `answer`."""
    monkeypatch.setattr(head_watch, "LOOK_EVERY_S", 0.0)
    looking = threading.Event()

    def look() -> tuple:
        if threading.current_thread().name == head_watch.THREAD:
            looking.set()
            answer()
        return ()

    view = ClusterView(look)
    assert looking.wait(5)
    view.close()


def threads_left() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == head_watch.THREAD]


def test_closing_waits_for_a_look_under_way(monkeypatch: pytest.MonkeyPatch):
    over = threading.Event()
    closed_in_a_look(monkeypatch, lambda: (time.sleep(0.2), over.set()))
    assert over.is_set()
    assert threads_left() == []


def test_a_look_without_end_does_not_hold_up_closing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(head_watch, "MOMENT_S", 0.05)
    answered = threading.Event()
    closed_in_a_look(monkeypatch, answered.wait)
    (left,) = threads_left()
    answered.set()
    left.join(5)
    assert not left.is_alive()

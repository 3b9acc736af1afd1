"""The thread that looks at a cluster ends before its Ray does."""

import threading
import time

import pytest

from raysweep import cluster_view
from raysweep.cluster_view import ClusterView


def test_closing_waits_for_a_look_under_way(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster_view, "LOOK_EVERY_S", 0.0)
    looking, over = threading.Event(), threading.Event()

    def look() -> tuple:
        if threading.current_thread().name == cluster_view.THREAD:
            looking.set()
            time.sleep(0.2)
            over.set()
        return ()

    view = ClusterView(look)
    assert looking.wait(5)
    view.close()
    assert over.is_set()
    assert all(thread.name != cluster_view.THREAD for thread in threading.enumerate())


def test_a_look_without_end_does_not_hold_up_closing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster_view, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(cluster_view, "MOMENT_S", 0.05)
    looking, answer = threading.Event(), threading.Event()

    def look() -> tuple:
        if threading.current_thread().name == cluster_view.THREAD:
            looking.set()
            answer.wait()
        return ()

    view = ClusterView(look)
    assert looking.wait(5)
    view.close()
    answer.set()

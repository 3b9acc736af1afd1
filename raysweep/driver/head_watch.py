"""What nodes a Ray cluster has, asked for in a thread: a cluster whose head is lost answers nothing at all.

Ray's calls wait for a lost head, and after a minute Ray ends the process from within. So who drives a
cluster looks here, and ends by itself before that, in good order; where even that is held up by a call of
Ray's, the thread ends the process.
"""

import os
import sys
import threading
from collections.abc import Callable

from raysweep.errors import ClusterLost
from raysweep.scheduling.nodes import Node

LOOK_EVERY_S = 5.0
MOMENT_S = 1.0
GONE_S = 40.0  # without an answer, after which a cluster is lost
ENDED_S = 55.0  # after which nobody has ended the process; Ray would at 60
WORK_REMAINS = 3
THREAD = "cluster view"


class ClusterView:
    """The nodes at the last look of a thread that goes on as long as the view is open."""

    def __init__(self, look: Callable[[], tuple[Node, ...]]):
        self._look = look
        self._nodes = look()
        self._silent_s = 0.0
        self._closed = threading.Event()
        acts = (self._watch, self._guard)
        self._threads = [threading.Thread(target=act, name=THREAD, daemon=True) for act in acts]
        for thread in self._threads:
            thread.start()

    def nodes(self) -> tuple[Node, ...]:
        """The same tuple as long as nothing has changed. Raises ClusterLost."""
        if self._silent_s >= GONE_S:
            raise ClusterLost(said(self._silent_s))
        return self._nodes

    def close(self) -> None:
        """End both threads: Ray may not be shut down under a look. One that a lost head holds is left."""
        self._closed.set()
        for thread in self._threads:
            thread.join(MOMENT_S)

    def _watch(self) -> None:
        while not self._closed.wait(LOOK_EVERY_S):
            try:
                found = self._look()
            except Exception:  # of whatever kind: it is no answer
                continue
            self._silent_s = 0.0
            if found != self._nodes:
                self._nodes = found

    def _guard(self) -> None:
        """Counts what it waits through itself: a process that was stopped has missed no answer."""
        while not self._closed.wait(MOMENT_S):
            self._silent_s += MOMENT_S
            if self._silent_s >= ENDED_S:
                print(f"raysweep: {said(self._silent_s)}", file=sys.stderr, flush=True)
                os._exit(WORK_REMAINS)


def said(silent_s: float) -> str:
    return (
        f"cluster: Ray's head has not answered for {silent_s:.0f} s; what is written is kept: start the "
        "cluster again, and the same command goes on"
    )

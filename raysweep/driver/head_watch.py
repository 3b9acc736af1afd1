"""The nodes of a Ray cluster, asked for in a thread, because a cluster that lost its head never answers.

Ray's calls wait for a lost head, and after a minute Ray ends the process from within. The driver therefore
asks `ClusterView`, which raises ClusterLost before that, so that the driver can end in good order. If a call
of Ray's blocks even that, a second thread ends the process.
"""

import os
import sys
import threading
from collections.abc import Callable

from raysweep.errors import ClusterLost
from raysweep.scheduling.nodes import Node
from raysweep.system.exit_status import WORK_REMAINS

LOOK_EVERY_S = 5.0
MOMENT_S = 1.0

# A cluster that has given no answer for this many seconds is lost.
GONE_S = 40.0

# If the driver has not ended by then, the guard ends the process. Ray would do so after 60 seconds.
ENDED_S = 55.0

THREAD = "cluster view"


class ClusterView:
    """The nodes as a thread saw them last. The thread runs until the view is closed."""

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
        """The live nodes. It is the same tuple object until something changes. Raises ClusterLost."""
        if self._silent_s >= GONE_S:
            raise ClusterLost(no_answer(self._silent_s))
        return self._nodes

    def close(self) -> None:
        """End both threads, for Ray must not be shut down during a look.

        A thread that waits for a lost head is left behind.
        """
        self._closed.set()
        for thread in self._threads:
            thread.join(MOMENT_S)

    def _watch(self) -> None:
        while not self._closed.wait(LOOK_EVERY_S):
            try:
                found = self._look()
            except Exception:  # Whatever the exception is, it is no answer.
                continue
            self._silent_s = 0.0
            if found != self._nodes:
                self._nodes = found

    def _guard(self) -> None:
        """Count the silence by its own waiting, so that a process that was stopped has missed no answer."""
        while not self._closed.wait(MOMENT_S):
            self._silent_s += MOMENT_S
            if self._silent_s >= ENDED_S:
                print(f"raysweep: {no_answer(self._silent_s)}", file=sys.stderr, flush=True)
                os._exit(WORK_REMAINS)


def no_answer(silent_s: float) -> str:
    return (
        f"cluster: Ray's head has not answered for {silent_s:.0f} s; written samples are kept, so start the "
        "cluster again and repeat the same command to continue"
    )

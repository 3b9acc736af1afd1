"""A worker process: calls named functions for its parent, one after the other, until the input ends.

Requests and replies are lines of JSON on standard input and output. The worker cannot outlive its parent for
long, because a thread ends it when the input ends. If a call holds the interpreter so that no thread runs,
the kernel's CPU timer ends it (SIGPROF, whose default action kills). Calls run in the main thread, because
libraries that use signals require it.
"""

import importlib
import json
import logging
import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # so that prints of a function do not mix with replies
    logging.disable()
    for request in requests():
        replies.write(reply(request) + "\n")
        replies.flush()


def requests() -> Iterator[dict[str, Any]]:
    """The parent's requests. The process ends when its input ends, even during a call."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            waiting.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield json.loads(waiting.get())


def reply(request: dict[str, Any]) -> str:
    """The call's result or error as JSON.

    The call may take `cpu_s` CPU seconds and `memory_bytes` of addresses (0: no limit).
    """
    signal.setitimer(signal.ITIMER_PROF, request["cpu_s"])
    before = limit_addresses(request["memory_bytes"])
    try:
        return json.dumps({"result": named(request["function"])(*request["arguments"])})
    except Exception as error:
        return json.dumps({"error": f"{type(error).__name__}: {error}".removesuffix(": ")})
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def limit_addresses(most: int) -> tuple[int, int]:
    """Limit this process's addresses to `most` bytes (0: no limit). Gives the limits before."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    soft = most if before[0] == resource.RLIM_INFINITY else min(most, before[0])
    resource.setrlimit(resource.RLIMIT_AS, (soft, before[1]) if most else before)
    return before


def named(function: str) -> Any:
    """The function that `module:name` names."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


if __name__ == "__main__":
    main()

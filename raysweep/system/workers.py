"""Worker processes for calls that may hang, crash or need a main thread. They are usable from any thread.

A call names a function and passes plain values. The kernel limits its CPU seconds and its addresses, and this
module limits its wall seconds. A worker that exceeds a limit is killed and replaced, and only its call fails.
"""

import json
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Wall seconds allowed per CPU second, because machines may be busy.
PATIENCE = 6
ROOT = str(Path(__file__).parents[1])


class CallError(Exception):
    """The function raised an error, or its worker died or ran out of time."""


class DeadWorkerError(CallError):
    """The worker could not be started, died, or ran out of time: nothing is known of the call."""


@dataclass(eq=False)
class Workers:
    """Up to `most` processes. A process is started when a call finds no idle one."""

    most: int
    idle: list["_Process"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._places = threading.BoundedSemaphore(self.most)

    def call(self, function: str, *arguments: Any, cpu_s: float = 0, memory_bytes: int = 0) -> Any:
        """The result of the function `module:name`, as plain values. Raises CallError.

        cpu_s         limit in CPU seconds; 0 for no limit
        memory_bytes  limit of the worker's addresses; 0 for no limit
        """
        with self._places:
            try:
                process = self._idle_one()
            except OSError as error:  # no memory, or too many processes
                raise DeadWorkerError(f"{function}: no worker can be started: {error}") from error
            try:
                reply = process.ask(function, arguments, cpu_s, memory_bytes)
            except BaseException:
                process.kill()
                raise
            self.idle.append(process)
        if "error" in reply:
            raise CallError(reply["error"])
        return reply["result"]

    def close(self) -> None:
        """End the idle processes. A later call starts new ones."""
        while self.idle:
            self.idle.pop().kill()

    def _idle_one(self) -> "_Process":
        with suppress(IndexError):
            return self.idle.pop()
        return _Process()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Process:
    """One worker process, idle or busy."""

    def __init__(self) -> None:
        # The worker can import everything that this process can, including users' graders.
        paths = [ROOT, *filter(None, sys.path)]
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "raysweep.system.worker_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def ask(
        self, function: str, arguments: tuple[Any, ...], cpu_s: float, memory_bytes: int
    ) -> dict[str, Any]:
        assert self.popen.stdin is not None
        limits = {"cpu_s": cpu_s, "memory_bytes": memory_bytes}
        request = {"function": function, "arguments": arguments, **limits}
        try:
            self.popen.stdin.write(json.dumps(request).encode() + b"\n")
            self.popen.stdin.flush()
        except BrokenPipeError as error:
            raise DeadWorkerError(f"{function}: its worker has ended") from error
        return json.loads(self._line(function, PATIENCE * cpu_s if cpu_s else None))

    def _line(self, function: str, wall_s: float | None) -> bytearray:
        """The next line that the worker writes."""
        assert self.popen.stdout is not None
        pipe, line = self.popen.stdout.fileno(), bytearray()
        ready = select.poll()
        ready.register(pipe, select.POLLIN)
        end = None if wall_s is None else time.monotonic() + wall_s
        while not line.endswith(b"\n"):
            left = None if end is None else 1000 * max(0, end - time.monotonic())
            if not ready.poll(left):
                raise DeadWorkerError(f"{function}: no reply within {wall_s:g} s")
            read = os.read(pipe, 1 << 16)
            if not read:
                raise DeadWorkerError(f"{function}: its worker died or took too long")
            line += read
        return line

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate()

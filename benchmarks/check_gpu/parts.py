"""Runs the parts of the check one after another, each in a process of its own and until its time is over.

So a part that crashes, hangs or spoils its CUDA context takes nothing with it but its own rest. What a part
has not said by its end is in the table as not run. Time that a part leaves over is for the parts behind it.
"""

import multiprocessing
import os
import pkgutil
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from actors import kernels
from benchmarks.check_gpu.rows import Case, Row, failed, not_run
from benchmarks.check_gpu.setting import Setting

TIME = "time"
CONTEXT = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Part:
    """A part of the check.

    cases  where the function is that takes a setting and returns the part's `Case`s: `module:name`
    share  of the whole time
    """

    name: str
    cases: str
    share: float

    @property
    def module(self) -> str:
        return self.cases.partition(":")[0]


def import_once(parts: Sequence[Part]) -> None:
    """Let all parts be forked from a process that has imported them. Not for a GPU.

    A library may look at CUDA as it is imported, and torch refuses CUDA to what is forked afterwards.
    """
    CONTEXT.set_forkserver_preload([part.module for part in parts])


def run_parts(
    parts: Sequence[Part], setting: Setting, began: float, seconds: float
) -> Iterator[Row]:
    """The rows of all parts, each as soon as it is there.

    began  the time, by `time.monotonic`, from which on the seconds count
    """
    end = began
    for part in parts:
        end += part.share * seconds
        for row in run_part(part, setting.until(end)):
            yield replace(row, part=part.name)


def described(dry: bool) -> tuple[Setting, dict[str, str]]:
    """`device.describe`, in a process of its own, so that this one imports no torch."""
    with CONTEXT.Pool(1) as pool:
        return pool.apply(_describe, (dry,))


def _describe(dry: bool) -> tuple[Setting, dict[str, str]]:
    from benchmarks.check_gpu.device import describe

    return describe(dry)


def run_part(part: Part, setting: Setting) -> Iterator[Row]:
    """The rows of one part, until its deadline."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_work, args=(part, setting, theirs))
    process.start()
    theirs.close()
    left: list[str] = [part.name]  # until it has said what its subjects are
    why = TIME
    try:
        while left and ours.poll(max(0.0, setting.deadline - time.monotonic())):
            said, rows = ours.recv()
            if isinstance(said, list):
                left = said
            else:
                left.remove(said)
            yield from rows
    except EOFError:
        process.join()
        why = f"its process ended with status {process.exitcode}"
        yield Row(left[0], f"failed: {why}", ok=False)
        left = left[1:]
    finally:
        _end(process)
    for subject in left:
        yield not_run(subject, why)


def _end(process: Any) -> None:
    """Kill the process, and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _work(part: Part, setting: Setting, out: Connection) -> None:
    os.setsid()  # it is killed with all its own processes
    if setting.dry:
        kernels.DEVICES.add("cpu")
    try:
        cases: Sequence[Case] = pkgutil.resolve_name(part.cases)(setting)
    except Exception as error:
        traceback.print_exc()
        out.send((part.name, [failed(part.name, error)]))
        return
    out.send(([case.subject for case in cases], []))
    for case in cases:
        out.send((case.subject, _rows(case)))


def _rows(case: Case) -> list[Row]:
    try:
        return list(case.run())
    except TimeoutError:
        return [not_run(case.subject, TIME)]
    except Exception as error:
        traceback.print_exc()
        return [failed(case.subject, error)]

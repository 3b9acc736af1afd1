"""Who may write to a run's folder: the newest driver, by a lease with an epoch.

An operator's retry may overlap the old attempt. So each driver that makes samples takes a lease: a file of
its own in `leases/`, named by an epoch above all that are there. **The last name in the folder holds the
lease**, and whoever finds another one there stops. That asks nothing of a store but that a listing shows
what has been written (S3 and Google's store promise it, a disk too; NFS once its cache of the folder is
renewed, by default within a minute): no locks, no conditional writes, no clocks. Two that start at once take
the same epoch, and their ids decide.

A driver that is told to go has looked at most `LOOK_EVERY_S` ago, so that long it may go on publishing
parts. These are the same, whoever makes them. Tables and summaries are looked before each.
"""

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from raysweep.errors import ConfigError, StorageError, one_line
from raysweep.storage.files import Folder

LEASES = "leases"
NAME = re.compile(r"leases/epoch-(\d{7})-[0-9a-f]{8}(\.released)?\.json")
LOOK_EVERY_S = 5.0
RENEW_EVERY_S = 30.0


class LeaseLost(RuntimeError):  # noqa: N818 - it is no fault
    """Another driver has taken over the run; its message is one line."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


@dataclass(eq=False)
class Lease:
    """The right to write to a folder for as long as `name` is the last one in its `leases/`.

    epoch      0 without a driver
    note       who took it, as in its file; None: nobody's own, see `watch`
    displaced  the note of the driver from which it was taken while it had not released it
    """

    folder: Folder
    name: str | None
    epoch: int
    note: dict[str, Any] | None = None
    displaced: dict[str, Any] | None = None
    looked_at: float = field(default=0.0, repr=False)
    renewed_at: float = field(default=0.0, repr=False)

    def check(self, every_s: float = 0.0) -> None:
        """Raise LeaseLost if another driver took over; looks only if it has not for `every_s`."""
        now = time.monotonic()
        if every_s and now - self.looked_at < every_s:
            return
        self.looked_at = now
        newest = _newest(self.folder)
        if newest != self.name:
            raise LeaseLost(_taken_over(self.folder, newest))
        if self.note and now - self.renewed_at > RENEW_EVERY_S:
            self.renewed_at = now
            self._write()

    def lent(self) -> "Lease":
        """For a process that writes on the driver's behalf: it checks, and does not renew."""
        return Lease(self.folder, self.name, self.epoch)

    def release(self) -> None:
        """Put on record that its driver has ended; nothing if it was lost."""
        if self.note and self.name and self.name == _newest(self.folder):
            self.name = self.name.removesuffix(".json") + ".released.json"
            self._write()

    def _write(self) -> None:
        """The note, with a time that tells a person when its driver last lived, and decides nothing."""
        assert self.name is not None
        noted = {
            **(self.note or {}),
            "renewed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        self.folder.write(self.name, (json.dumps(noted, indent=2) + "\n").encode())


def take_lease(folder: Folder) -> Lease:
    """Take the folder over, from whoever has it. Raises LeaseLost if another takes it at the same time."""
    before = _newest(folder)
    epoch = _epoch(before) + 1
    driver = uuid.uuid4().hex[:8]
    note = {"epoch": epoch, "driver": driver, "host": socket.gethostname(), "pid": os.getpid()}
    lease = Lease(folder, f"{LEASES}/epoch-{epoch:07}-{driver}.json", epoch, note)
    if before is not None and not before.endswith(".released.json"):
        lease.displaced = _note(folder, before)
    lease._write()
    lease.check()
    return lease


def watch(folder: Folder) -> Lease:
    """For who makes no samples, and may not disturb a driver: lost once one begins or ends."""
    newest = _newest(folder)
    return Lease(folder, newest, _epoch(newest))


def holder(folder: Folder) -> dict[str, Any] | None:
    """The note of the driver that is at work on the folder, or was killed at it; None if there is none."""
    newest = _newest(folder)
    return None if newest is None or newest.endswith(".released.json") else _note(folder, newest)


def said(note: dict[str, Any]) -> str:
    """A driver in words."""
    named = [f"{key} {note[key]}" for key in ("epoch", "host", "pid") if key in note]
    return ", ".join([*named, f"last sign of life {note.get('renewed_at', 'unknown')}"])


def _taken_over(folder: Folder, newest: str | None) -> str:
    if newest is None:
        return "the run's leases were removed, so nobody knows who may write to it; start again"
    who = said(_note(folder, newest))
    return f"another driver took over the run ({who}); this one stops, and leaves the rest to it"


def _newest(folder: Folder) -> str | None:
    names = [name for name in folder.names(LEASES) if NAME.fullmatch(name)]
    return max(names, default=None, key=lambda name: name.removesuffix(".json"))


def _epoch(name: str | None) -> int:
    found = NAME.fullmatch(name) if name else None
    return int(found[1]) if found else 0


def _note(folder: Folder, name: str) -> dict[str, Any]:
    """What stands in a lease's file; its epoch alone if that cannot be read."""
    try:
        note = json.loads(folder.read(name, lambda file: file.read()))
    except (ValueError, ConfigError):
        note = None
    return note if isinstance(note, dict) else {"epoch": _epoch(name)}


@contextmanager
def leased(folder: Folder, drives: bool, say: Callable[[str, str], None]) -> Iterator[Lease]:
    """A lease for the context's duration; `say` hears (label, text) of a driver that was found.

    drives  samples are to be made
    """
    if not drives:
        if driver := holder(folder):
            say("note", f"a driver is at work on this run, or was killed at it ({said(driver)})")
        yield watch(folder)
        return
    lease = take_lease(folder)
    if lease.displaced:
        before = said(lease.displaced)
        say(
            "took over", f"from a driver that had not ended ({before}); if it still lives, it stops"
        )
    try:
        yield lease
    finally:
        with suppress(StorageError, ConfigError):  # what ends the run is to be heard, not this
            lease.release()

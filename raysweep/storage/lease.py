"""Who may write to a run's folder: the newest driver, by a lease with an epoch.

An operator's retry may overlap the old attempt. So each driver that makes samples takes a lease: its own
file in `leases/`, named by an epoch above all existing ones. **The file with the highest epoch holds the
lease**, and a driver that finds another one there stops. This needs no locks, conditional writes or clocks.
It only needs a listing that shows every written file. S3, Google's store and a disk guarantee that, and NFS
does once its folder cache is renewed, by default within a minute. If two drivers start at once, they take
the same epoch and their ids decide.

A driver checks its lease every `LOOK_EVERY_S` while it publishes parts, so it may publish for that long after
it has lost the lease. This is harmless, because parts are the same whoever makes them. The lease is checked
before every table and summary.
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
from raysweep.system.json_text import parsed_json

LEASES = "leases"
NAME = re.compile(r"leases/epoch-(\d{7,15})-[0-9a-f]{8}(\.released)?\.json")
LAST_EPOCH = 10**15 - 1
LOOK_EVERY_S = 5.0
RENEW_EVERY_S = 30.0


class LeaseLost(RuntimeError):  # noqa: N818 - it is not a bug
    """Another driver has taken over the run. The message is one line."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


@dataclass(eq=False)
class Lease:
    """The right to write to a folder as long as `name` is the last one in its `leases/`.

    epoch      0 without a driver
    note       the driver that took it, as in its file; None if no driver did, see `watch`
    displaced  the note of the previous driver if it had not released its lease
    """

    folder: Folder
    name: str | None
    epoch: int
    note: dict[str, Any] | None = None
    displaced: dict[str, Any] | None = None
    looked_at: float = field(default=0.0, repr=False)
    renewed_at: float = field(default=0.0, repr=False)

    def check(self, every_s: float = 0.0) -> None:
        """Raise LeaseLost if another driver took over. Looks at most once every `every_s` seconds."""
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
        """The lease for a process that writes on the driver's behalf. It checks but does not renew."""
        return Lease(self.folder, self.name, self.epoch)

    def release(self) -> None:
        """Record that the driver has ended. Does nothing if the lease was lost."""
        if self.note and self.name and self.name == _newest(self.folder):
            self.name = self.name.removesuffix(".json") + ".released.json"
            self._write()

    def _write(self) -> None:
        """Write the note with the current time. The time informs people and decides nothing."""
        assert self.name is not None
        noted = {
            **(self.note or {}),
            "renewed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        self.folder.write(self.name, (json.dumps(noted, indent=2) + "\n").encode())


def take_lease(folder: Folder) -> Lease:
    """Take over the folder from any other driver.

    Raises LeaseLost if one takes it at the same time, and ConfigError if a file claims the last epoch.
    """
    before = _newest(folder)
    if (epoch := _epoch(before) + 1) > LAST_EPOCH:
        raise ConfigError(
            f"leases: no epoch comes after that of {before} in the run's folder, which no driver has made; "
            "remove that file"
        )
    driver = uuid.uuid4().hex[:8]
    note = {"epoch": epoch, "driver": driver, "host": socket.gethostname(), "pid": os.getpid()}
    lease = Lease(folder, f"{LEASES}/epoch-{epoch:07}-{driver}.json", epoch, note)
    if before is not None and not before.endswith(".released.json"):
        lease.displaced = _note(folder, before)
    lease._write()
    lease.check()
    return lease


def watch(folder: Folder) -> Lease:
    """A lease for stages that make no samples and must not disturb a driver.

    It is lost when a driver starts or ends.
    """
    newest = _newest(folder)
    return Lease(folder, newest, _epoch(newest))


def holder(folder: Folder) -> dict[str, Any] | None:
    """The note of the driver that is running or was killed. None if there is no such driver."""
    newest = _newest(folder)
    return None if newest is None or newest.endswith(".released.json") else _note(folder, newest)


def said(note: dict[str, Any]) -> str:
    """A driver in words."""
    named = [f"{key} {note[key]}" for key in ("epoch", "host", "pid") if key in note]
    return ", ".join([*named, f"last sign of life {note.get('renewed_at', 'unknown')}"])


def _taken_over(folder: Folder, newest: str | None) -> str:
    if newest is None:
        return "the run's leases were removed, so no driver may write to the run; start it again"
    who = said(_note(folder, newest))
    return f"another driver took over the run ({who}); this driver stops and leaves the rest to it"


def _newest(folder: Folder) -> str | None:
    names = [name for name in folder.names(LEASES) if NAME.fullmatch(name)]
    return max(names, default=None, key=lambda name: (_epoch(name), name.removesuffix(".json")))


def _epoch(name: str | None) -> int:
    found = NAME.fullmatch(name) if name else None
    return int(found[1]) if found else 0


def _note(folder: Folder, name: str) -> dict[str, Any]:
    """The contents of a lease's file, or only its epoch if the file cannot be read."""
    try:
        note = parsed_json(folder.read(name, lambda file: file.read()))
    except (ValueError, ConfigError):
        note = None
    return note if isinstance(note, dict) else {"epoch": _epoch(name)}


@contextmanager
def leased(folder: Folder, drives: bool, say: Callable[[str, str], None]) -> Iterator[Lease]:
    """A lease for the duration of the context.

    drives  whether samples will be made
    say     called with (label, text) if another driver is found
    """
    if not drives:
        if driver := holder(folder):
            say("note", f"a driver of this run is running, or was killed ({said(driver)})")
        yield watch(folder)
        return
    lease = take_lease(folder)
    if lease.displaced:
        before = said(lease.displaced)
        say(
            "took over",
            f"from a driver that had not ended ({before}); it stops if it is still running",
        )
    try:
        yield lease
    finally:
        with suppress(StorageError, ConfigError):  # do not hide the error that ended the run
            lease.release()

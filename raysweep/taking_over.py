"""Whose turn a run's folder is: a command takes it over, or leaves the driver that is at it alone.

Whoever makes samples takes the folder over, so that a retry need not wait for the attempt before it.
Whoever computes from samples disturbs no driver, and stops if one begins or ends meanwhile: its tables
would be of the samples of before.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from raysweep.errors import ConfigError, StorageError
from raysweep.lease import Lease, holder, said, take_lease, watch
from raysweep.storage.files import Folder


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

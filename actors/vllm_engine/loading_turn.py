"""Engines that share a GPU load one at a time, since each takes more while it loads than afterwards.

The turn is a lock on a file, which the kernel releases if the process dies. It holds within a machine, among
the processes of one user that see the same temporary folder.
"""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actors.waits import waiting

log = logging.getLogger(__name__)

# Seconds between two looks, and between two lines that say that an engine still waits.
LOOK_S, SAY_S = 0.5, 60.0


@contextmanager
def turn(gpu: str, folder: Path | None = None) -> Iterator[None]:
    """Hold the turn to load on a GPU, once all others have had theirs.

    gpu     a name of the GPU that the others use too, such as its UUID
    folder  a folder of this user, for tests
    """
    folder = folder or own_folder()
    file = os.open(folder / f"loading-{gpu.replace('/', '-')}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with waiting():
            _wait(file, gpu)
        yield
    finally:
        os.close(file)


def own_folder() -> Path:
    """A folder for this user's locks. Raises PermissionError if another user has taken its name."""
    folder = Path(tempfile.gettempdir(), f"raysweep-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user; set TMPDIR to a folder of yours")
    return folder


def _wait(file: int, gpu: str) -> None:
    said = started = time.monotonic()
    while not _locked(file):
        now = time.monotonic()
        if now - said >= SAY_S:
            said = now
            log.warning("waiting for %.0f s for another engine to load on %s", now - started, gpu)
        time.sleep(LOOK_S)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

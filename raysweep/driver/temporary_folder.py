"""Temporary folders whose path leaves room for the sockets that programs put below them.

A Unix socket's path has at most 107 bytes. Ray and vLLM make sockets below the folder for temporary files,
with names of up to 68 bytes, so a long TMPDIR stops them.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from raysweep.errors import ConfigError

VARIABLES = ("RAY_TMPDIR", "TMPDIR")
MOST_BYTES = 107  # macOS has 103, but its Ray does not heed TMPDIR
BELOW = "/ray/session_2000-01-01_00-00-00_000000_1234567/sockets/plasma_store"
SHORT = ("/tmp", "/var/tmp", "/dev/shm")


@contextmanager
def short_temporary_folder() -> Iterator[None]:
    """Where a variable names a folder in which no socket can be made, use a private one, then remove it."""
    unfit = {name: os.environ[name] for name in VARIABLES if not _fits(os.environ.get(name, ""))}
    if not unfit:
        yield
        return
    folder = _short_folder(*next(iter(unfit.items())))
    os.environ.update(dict.fromkeys(unfit, folder))
    try:
        yield
    finally:
        os.environ.update(unfit)
        shutil.rmtree(folder, ignore_errors=True)


def _fits(folder: str) -> bool:
    """Whether sockets can be made below a folder, or no folder is named."""
    short = len(os.fsencode(folder + BELOW)) <= MOST_BYTES
    return not folder or (short and os.path.isabs(folder) and os.access(folder, os.W_OK | os.X_OK))


def _short_folder(name: str, value: str) -> str:
    """A new folder that only this user can enter."""
    for place in filter(_fits, SHORT):
        try:
            return tempfile.mkdtemp(prefix="raysweep-", dir=place)
        except OSError:
            continue
    raise ConfigError(
        f"{name}: no socket of Ray's can be made below {value!r}, and {', '.join(SHORT)} cannot be "
        f"written; set {name} to a writable folder of at most {MOST_BYTES - len(BELOW)} characters"
    )

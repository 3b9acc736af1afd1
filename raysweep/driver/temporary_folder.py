"""Temporary folders whose path leaves room for the sockets that programs put below them, and one for Ray.

A Unix socket's path has at most 107 bytes. Ray and vLLM make sockets below the folder for temporary files,
with names of up to 68 bytes, so a long TMPDIR stops them. In Ray's own folder anybody may write, so a private
Ray gets one that only this user can enter.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raysweep.errors import ConfigError
from raysweep.system.held_folder import held, is_left_over

VARIABLES = ("RAY_TMPDIR", "TMPDIR")
MOST_BYTES = 107  # macOS has 103, but its Ray does not heed TMPDIR
BELOW = "/ray/session_2000-01-01_00-00-00_000000_1234567/sockets/plasma_store"
SHORT = ("/tmp", "/var/tmp", "/dev/shm")
PRIVATE = "rs-ray-"


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


@contextmanager
def private_folder() -> Iterator[str]:
    """A folder for a private Ray, below a new one that only this user can enter and that is then removed.

    Folders of drivers that were killed are removed too.
    """
    place = _place_of_private_folders()
    for folder in Path(place).glob(f"{PRIVATE}*"):
        if is_left_over(folder):
            shutil.rmtree(folder, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=PRIVATE, dir=place)
    try:
        with held(Path(folder)):
            yield f"{folder}/ray"  # which Ray makes, and lets anybody write to
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _place_of_private_folders() -> str:
    """Where the variables say, if sockets can be made that far below, or else a short place."""
    below = f"/{PRIVATE}12345678{BELOW}"
    for place in (*(os.environ.get(name, "") for name in VARIABLES), *SHORT):
        if place and _fits(place, below):
            return place
    raise _no_place("TMPDIR", os.environ.get("TMPDIR", ""), below)


def _fits(folder: str, below: str = BELOW) -> bool:
    """Whether sockets can be made below a folder, or no folder is named."""
    short = len(os.fsencode(folder + below)) <= MOST_BYTES
    return not folder or (short and os.path.isabs(folder) and os.access(folder, os.W_OK | os.X_OK))


def _short_folder(name: str, value: str) -> str:
    """A new folder that only this user can enter."""
    for place in filter(_fits, SHORT):
        try:
            return tempfile.mkdtemp(prefix="raysweep-", dir=place)
        except OSError:
            continue
    raise _no_place(name, value, BELOW)


def _no_place(name: str, value: str, below: str) -> ConfigError:
    return ConfigError(
        f"{name}: no socket of Ray's can be made below {value!r}, and {', '.join(SHORT)} cannot be "
        f"written; set {name} to a writable folder of at most {MOST_BYTES - len(below)} characters"
    )

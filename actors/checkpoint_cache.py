"""Checkpoints that were fetched from an address, on a disk that the actors of a machine or a cluster share.

A process holds a shared lock on each checkpoint that it uses, from before the fetch until it ends. A removal
takes the exclusive lock and does not wait for it, so a checkpoint in use stays. One process at a time fetches
a checkpoint, and the others wait. If the cache has a bound, a fetch first removes what no process uses, the
least recently used first.

RAYSWEEP_CACHE      the cache's folder; ~/.cache/raysweep by default
RAYSWEEP_CACHE_GB   the most GB (1e9 bytes) that its checkpoints take; without it there is no bound

    checkpoints/<revision>/         a whole checkpoint
    checkpoints/.<revision>.tmp/    one that is being fetched; its manifest comes first and says its size
    checkpoints/.<revision>.used    the lock of its users; its time of change is the time of the last use
    checkpoints/.<revision>.fetch   the lock of the process that fetches it
    checkpoints/.room               the lock of the process that makes room, or renames what it has fetched
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path

from pyarrow import fs

from raysweep.checkpoints.engine_files import MANIFEST, is_there
from raysweep.errors import ConfigError
from raysweep.spec import Checkpoint
from raysweep.storage.store import Store
from raysweep.system.quantities import GB

FOLDER, BOUND = "RAYSWEEP_CACHE", "RAYSWEEP_CACHE_GB"

# The locks that this process holds on checkpoints until it ends.
_used: dict[Path, int] = {}


def fetched(checkpoint: Checkpoint) -> Path:
    """The folder with the files of a checkpoint at an address. It stays there while this process lives.

    Raises ConfigError if the cache's bound leaves no room for it, and OSError if it cannot be fetched.
    """
    target = checkpoints() / checkpoint.revision
    if target in _used:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = _locked(_beside(target, "used"), LOCK_SH)
    try:
        if not is_there(_local(target)):
            with _alone(_beside(target, "fetch")):
                if not is_there(_local(target)):
                    _fetch(checkpoint.path, target)
    except BaseException:
        os.close(lock)
        raise
    now = time.time_ns()  # finer than the kernel's own time of a file
    os.utime(lock, ns=(now, now))
    _used[target] = lock
    return target


def checkpoints() -> Path:
    """The folder that holds the checkpoints."""
    return Path(os.environ.get(FOLDER) or "~/.cache/raysweep").expanduser() / "checkpoints"


def bound_bytes() -> float | None:
    """The most bytes that checkpoints may take; None without a bound. Raises ConfigError."""
    said = os.environ.get(BOUND)
    if not said:
        return None
    try:
        bound = float(said) * GB
    except ValueError:
        bound = 0.0
    if not bound > 0:
        raise ConfigError(f"{BOUND}: {said!r} is not a positive number of GB; write one, as in 100")
    return bound


def _fetch(address: str, target: Path) -> None:
    """Copy a checkpoint, and rename it when it is whole."""
    manifest = Store(address).read_text(MANIFEST)
    aside, room = _beside(target, "tmp"), target.parent / ".room"
    with _alone(room):
        _remove(target)  # what is left of a fetch that was killed, or was damaged later
        _make_room(target.parent, _said_bytes(manifest), target.name)
        # NFS keeps a removed file that is open elsewhere, and so its folder.
        aside.mkdir(exist_ok=True)
        (aside / MANIFEST).write_text(manifest)
    try:
        fs.copy_files(address, str(aside))
        if not is_there(_local(aside)):
            raise OSError(f"{address}: its files are not those of its manifest")
        with _alone(room):  # whoever makes room counts it once, under either name
            aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _make_room(folder: Path, coming: float, name: str) -> None:
    """Remove checkpoints that no process uses until `coming` bytes fit below the bound."""
    bound = bound_bytes()
    if bound is None:
        return
    locks = sorted(folder.glob(".*.used"), key=lambda lock: lock.stat().st_mtime_ns)
    kept = [folder / lock.name.removeprefix(".").removesuffix(".used") for lock in locks]
    held = sum(map(_bytes, kept))
    for target in kept:
        if held + coming > bound:
            held -= _removed_bytes(target)
    if held + coming > bound:
        raise ConfigError(
            f"{BOUND}: {bound / GB:g} GB leave no room for the {coming / GB:.1f} GB of checkpoint "
            f"{name} beside {held / GB:.1f} GB in use; give the cache more, or share it among fewer engines"
        )


def _removed_bytes(target: Path) -> float:
    """Remove a checkpoint, and return its bytes; 0 if a process uses it."""
    try:
        lock = _locked(_beside(target, "used"), LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return 0
    try:
        freed = _bytes(target)
        _remove(target)
    finally:
        os.close(lock)
    return freed


def _remove(target: Path) -> None:
    """Remove what there is of a checkpoint. The manifest goes first, so that no rest counts as whole."""
    for folder in (target, _beside(target, "tmp")):
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _bytes(target: Path) -> float:
    """The bytes of a checkpoint. One that is being fetched counts in full."""
    found = 0.0
    for folder in (target, _beside(target, "tmp")):
        with suppress(FileNotFoundError):  # a fetch that fails removes its folder at any time
            found += _said_bytes((folder / MANIFEST).read_text())
    return found


def _said_bytes(manifest: str) -> float:
    return sum(json.loads(manifest)["files"].values())


def _local(folder: Path) -> Checkpoint:
    return Checkpoint(str(folder), folder.name)


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock exclusively, and wait for it."""
    lock = _locked(path, LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def _locked(path: Path, how: int) -> int:
    """A file that is opened and locked. Raises BlockingIOError for LOCK_NB if another process holds it."""
    # NFS gives an exclusive lock only on a file that is open for writing.
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        flock(lock, how)
    except BlockingIOError:
        os.close(lock)
        raise
    except OSError as error:
        os.close(lock)
        raise ConfigError(
            f"{FOLDER}: {path.parent} is on a disk that locks no files ({error.strerror}); name a folder "
            "on another disk"
        ) from error
    return lock

"""Checkpoints that were fetched from an address, on a disk that the actors of a machine or a cluster share.

A process holds a shared lock on each checkpoint that it uses until it ends. To fetch or to remove a
checkpoint takes its exclusive lock. So two actors fetch a checkpoint once, and a checkpoint in use stays. If
the cache has a bound, a fetch first removes what no process uses, the least recently used first.

RAYSWEEP_CACHE      the cache's folder; ~/.cache/raysweep by default
RAYSWEEP_CACHE_GB   the most GB (1e9 bytes) that its checkpoints take; without it there is no bound

    checkpoints/<revision>/        a whole checkpoint
    checkpoints/.<revision>.tmp/   one that is being fetched; its manifest comes first and says its size
    checkpoints/.<revision>.lock   the lock; its time of change is the time of the last use
    checkpoints/.room.lock         held while room is made
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
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
    lock = _opened(_lock_of(target))
    try:
        # A lock is not changed from exclusive to shared in one go. So it is looked at again.
        while not _complete(target, lock):
            _locked(lock, LOCK_EX)
            if not is_there(_local(target)):
                _fetch(checkpoint.path, target)
            flock(lock, LOCK_UN)
    except BaseException:
        os.close(lock)
        raise
    os.utime(lock, ns=(time.time_ns(),) * 2)  # finer than the kernel's own time of a file
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


def _complete(target: Path, lock: int) -> bool:
    """Whether the checkpoint is there; if so, its lock is shared."""
    _locked(lock, LOCK_SH)
    if is_there(_local(target)):
        return True
    flock(lock, LOCK_UN)
    return False


def _fetch(address: str, target: Path) -> None:
    """Copy a checkpoint, whose exclusive lock this process holds, and rename it when it is whole."""
    manifest = Store(address).read_text(MANIFEST)
    aside = _aside_of(target)
    _remove(target)  # what is left of a fetch that was killed, or was damaged later
    with _alone(target.parent):
        _make_room(target.parent, _said_bytes(manifest), target.name)
        aside.mkdir()
        (aside / MANIFEST).write_text(manifest)
    try:
        fs.copy_files(address, str(aside))
        if not is_there(_local(aside)):
            raise OSError(f"{address}: its files are not those of its manifest")
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _make_room(folder: Path, coming: float, name: str) -> None:
    """Remove checkpoints that no process uses until `coming` bytes fit below the bound."""
    bound = bound_bytes()
    if bound is None:
        return
    locks = sorted(folder.glob(".*.lock"), key=lambda lock: lock.stat().st_mtime_ns)
    kept = [folder / lock.name[1 : -len(".lock")] for lock in locks if lock.name != ".room.lock"]
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
    lock = _opened(_lock_of(target))
    try:
        flock(lock, LOCK_EX | LOCK_NB)
        freed = _bytes(target)
        _remove(target)
    except BlockingIOError:
        return 0
    finally:
        os.close(lock)
    return freed


def _remove(target: Path) -> None:
    """Remove what there is of a checkpoint. The manifest goes first, so that no rest counts as whole."""
    for folder in (target, _aside_of(target)):
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _bytes(target: Path) -> float:
    """The bytes of a checkpoint. One that is being fetched counts in full."""
    return sum(
        _said_bytes((folder / MANIFEST).read_text())
        for folder in (target, _aside_of(target))
        if (folder / MANIFEST).exists()
    )


def _said_bytes(manifest: str) -> float:
    return sum(json.loads(manifest)["files"].values())


def _local(folder: Path) -> Checkpoint:
    return Checkpoint(str(folder), folder.name)


def _aside_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.tmp")


def _lock_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make room in one process at a time."""
    lock = _opened(folder / ".room.lock")
    try:
        _locked(lock, LOCK_EX)
        yield
    finally:
        os.close(lock)


def _opened(lock: Path) -> int:
    # NFS gives an exclusive lock only on a file that is open for writing.
    return os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)


def _locked(lock: int, how: int) -> None:
    try:
        flock(lock, how)
    except OSError as error:
        raise ConfigError(
            f"{FOLDER}: {checkpoints()} is on a disk that locks no files ({error.strerror}); name a folder "
            "on another disk"
        ) from error

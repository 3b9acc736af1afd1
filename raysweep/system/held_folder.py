"""Folders that belong to a running process, and which of them were left by one that was killed.

The owner holds a lock on its folder, which the kernel releases when the process ends. A disk that locks no
folders, as some network file systems are, leaves only the age.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

# A folder that is younger may have been made without its lock having been taken yet.
YOUNG_S = 60.0
# An unlocked folder on a disk that locks none is left over if nothing in it has changed for so long.
OLD_S = 7 * 24 * 3600.0


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder for the duration of the context, or until this process ends."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # the disk locks no folders
            flock(opened, LOCK_EX | LOCK_NB)
        yield
    finally:
        os.close(opened)


def is_left_over(folder: Path) -> bool:
    """Whether the process to which a folder belonged has surely ended."""
    try:
        age_s = time.time() - folder.lstat().st_mtime
        if folder.is_symlink() or age_s < YOUNG_S:
            return False
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # it is gone, or another user's
        return False
    try:
        flock(opened, LOCK_EX | LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return _unchanged_s(folder) > OLD_S
    finally:
        os.close(opened)


def _unchanged_s(folder: Path) -> float:
    """Seconds since a folder or a file in it was changed."""
    changed = [folder.stat().st_mtime]
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            changed.append(file.stat().st_mtime)
    return time.time() - max(changed)

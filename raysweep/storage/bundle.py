"""A folder of files that is published whole: the earlier one stays until the new one is complete.

In a folder of a disk, the files are written beside it and checked, and then both change places in one step.
An object store has no such step. There each bundle has a folder of its own below the address, named by its
content, and is whole if its checksums are there, which are written last.
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raysweep.errors import ConfigError, StorageError, shown
from raysweep.storage.address import below, is_local
from raysweep.storage.files import Folder
from raysweep.system.content import content_hash

# SHA-256 of each file, as `sha256sum --check` reads it.
CHECKSUMS = "checksums.sha256"
# Files that are written or read at a time.
FILES_AT_A_TIME = 8
EXCHANGE, AT_FOLDER = 2, -100  # of renameat2


@dataclass(frozen=True)
class Entry:
    """A file of a bundle. `identity` names its content without reading it; `read` gives it."""

    name: str
    identity: Callable[[], str]
    read: Callable[[], bytes]

    @classmethod
    def of(cls, name: str, data: bytes | str) -> "Entry":
        """A file with this content."""
        content = data.encode() if isinstance(data, str) else data
        return cls(name, hashlib.sha256(content).hexdigest, lambda: content)


def write_bundle(to: str, entries: Sequence[Entry], label: str) -> str:
    """Publish the files as one folder, and give its place.

    to     a local folder, which may hold an earlier bundle and nothing else, or an address
    label  begins the name of the folder below an address

    Raises ConfigError if the folder holds other files or is being written, StorageError if what was written
    does not read back.
    """
    if not is_local(to):
        named = content_hash("bundle", sorted((one.name, one.identity()) for one in entries))
        place = below(to, f"{label}-{named[:12]}")
        _write(Folder(place), entries)
        return place
    target = Path(os.path.abspath(to))
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        _recover(target)
        _refuse_others(target)
        staging = target.parent / f".{target.name}.{uuid.uuid4().hex}.new"
        try:
            _write(Folder(str(staging)), entries)
            _put_in_place(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)  # the earlier bundle, or what failed
    return str(target)


def _write(folder: Folder, entries: Sequence[Entry]) -> None:
    """Write all files and read them back, the checksums last."""

    def write(entry: Entry) -> str:
        data = entry.read()
        folder.write(entry.name, data)
        return hashlib.sha256(data).hexdigest()

    def read_back(entry: Entry) -> str:
        return hashlib.sha256(folder.read(entry.name, lambda file: file.read())).hexdigest()

    with ThreadPoolExecutor(FILES_AT_A_TIME) as workers:
        written, found = (list(workers.map(act, entries)) for act in (write, read_back))
    for entry, digest, other in zip(entries, written, found, strict=True):
        if digest != other:
            raise StorageError(
                f"publish: {entry.name} does not read back as it was written; publish again"
            )
    lines = sorted(f"{digest}  {e.name}\n" for e, digest in zip(entries, written, strict=True))
    folder.write(CHECKSUMS, "".join(lines).encode())


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the folder's parent, which the kernel lets go of if this process is killed."""
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, target)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, target: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(
            f"publish.to: {shown(str(target))} is being written by another command; wait for its end"
        ) from error


def _recover(target: Path) -> None:
    """Put an earlier bundle back that a killed command had moved away, and remove what such a one left."""
    for earlier in target.parent.glob(f".{target.name}.*.earlier"):
        if target.exists():
            shutil.rmtree(earlier, ignore_errors=True)
        else:
            earlier.rename(target)
    for left in target.parent.glob(f".{target.name}.*.new"):
        shutil.rmtree(left, ignore_errors=True)


def _refuse_others(target: Path) -> None:
    """Raise if the folder holds anything but a bundle, since it is replaced as a whole."""
    if not target.exists():
        return
    if not target.is_dir() or target.is_symlink():
        raise ConfigError(f"publish.to: {shown(str(target))} is no folder; choose another place")
    sums = target / CHECKSUMS
    known = {CHECKSUMS}
    if sums.is_file():
        known |= {line.partition("  ")[2] for line in sums.read_text().splitlines()}
    for folder, _, files in os.walk(target):
        for file in files:
            name = (Path(folder) / file).relative_to(target).as_posix()
            if name not in known:
                raise ConfigError(
                    f"publish.to: {shown(str(target))} holds {shown(name)}, which is no file of a bundle, "
                    "and would be replaced as a whole; choose an empty or another folder"
                )


def _put_in_place(staging: Path, target: Path) -> None:
    """The new bundle takes the name, in one step where the system can exchange two folders."""
    if not target.exists():
        staging.rename(target)
    elif not _exchanged(staging, target):
        earlier = staging.with_suffix(".earlier")
        target.rename(earlier)
        staging.rename(target)
        shutil.rmtree(earlier, ignore_errors=True)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the two folders have changed places. Not on systems and file systems that cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(AT_FOLDER, os.fsencode(one), AT_FOLDER, os.fsencode(other), EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number), str(other))

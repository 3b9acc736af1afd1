"""Files below a folder, on any file system that pyarrow knows. Each is published whole or not at all.

Transient errors are retried (`trouble`). Requests to an object store go through its gate (`in_flight`), and a
small file takes one of them once its size is known.
"""

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
from pyarrow import fs

from raysweep.errors import ConfigError, shown
from raysweep.storage.address import below, is_local, unfolded
from raysweep.storage.in_flight import MOST, Gate, side_by_side
from raysweep.storage.listing import LISTING, file_names, file_rows
from raysweep.storage.publishing import publish
from raysweep.storage.trouble import is_refusal, persistently, refused
from raysweep.system.safe_text import without_secrets

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

Item = TypeVar("Item")
Result = TypeVar("Result")

# A file on an object store that is no larger is read whole, by one request.
WHOLE_BELOW = 4_000_000
# Work on files of a disk or of NFS that is done at once.
LOCAL_WIDTH = 8


class MissingFileError(ConfigError):
    """A file that should be read is not there."""


@lru_cache(maxsize=64)
def _located(address: str) -> tuple[fs.FileSystem, str, Gate | None]:
    """The file system of an address, the path there, and the gate for requests, which a disk has none of."""
    if is_local(address):
        return fs.LocalFileSystem(), os.path.abspath(address), None
    # Each client has as many connections as pyarrow has threads for I/O when it is made.
    pa.set_io_thread_count(max(pa.io_thread_count(), MOST))
    try:
        filesystem, path = fs.FileSystem.from_uri(_quick(unfolded(address)))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise ConfigError(
            f"out: {shown(address)} is not an address that pyarrow knows ({error}); "
            "write a folder, or a file://, s3:// or gs:// address"
        ) from error
    path = path.rstrip("/")
    if isinstance(filesystem, fs.LocalFileSystem):
        return filesystem, path, None
    if not path:
        raise ConfigError(f"out: {shown(address)} names no bucket; write {address}bucket/…")
    return filesystem, path, _gate(unfolded(address).split("/")[2])


@lru_cache(maxsize=64)
def _gate(storage: str) -> Gate:
    return Gate()


def _quick(address: str) -> str:
    """The address with the option that uploads a small file by one request instead of three."""
    if not address.startswith("s3://") or "allow_delayed_open" in address:
        return address
    return f"{address}{'&' if '?' in address else '?'}allow_delayed_open=true"


@dataclass(frozen=True)
class Folder:
    """The folder at `address`: a local path, or a URI that pyarrow knows (`s3://…`, `gs://…`).

    Missing rights, and all other permanent errors of a change, are raised as StorageRefused: no sample is at
    fault. Permanent errors of reading are raised as ConfigError, and transient errors that last as
    StorageError.
    """

    address: str

    @cached_property
    def _place(self) -> tuple[fs.FileSystem, str, Gate | None]:
        return _located(self.address)

    @property
    def width(self) -> int:
        """How many files are worth reading or writing at once."""
        return MOST if self._place[2] else LOCAL_WIDTH

    def side_by_side(
        self,
        act: Callable[[Item], Result],
        items: Iterable[Item],
        bytes_of: Callable[[Item], int] = lambda item: 0,
    ) -> Generator[Result]:
        """The results of `act`, which reads or writes files of this folder, in the order of the items.

        bytes_of  the bytes that an item has in memory (`in_flight.side_by_side`)
        """
        return side_by_side(act, items, self.width, bytes_of)

    def _do(
        self, name: str, act: Callable[[fs.FileSystem, str], Result], changes: bool = False
    ) -> Result:
        """The result of `act` for the file system and the path of `name`. It may be called again.

        changes  whether `act` writes, moves or removes
        """

        def attempt() -> Result:
            filesystem, root, gate = self._place
            with gate.slot() if gate else nullcontext():
                return act(filesystem, f"{root}/{name}")

        try:
            return persistently(attempt, f"access to {name} in the run's folder")
        except OSError as error:
            if changes or is_refusal(error):
                raise refused(name, error, changes) from error
            kind = MissingFileError if isinstance(error, FileNotFoundError) else ConfigError
            raise kind(
                f"out: {name} in the run's folder cannot be read or written ({error}); choose another "
                "folder or address, or remove the file if it is damaged"
            ) from error

    def shown(self, name: str) -> str:
        """The place of a file as people see it: a path, or a URI without secrets."""
        return without_secrets(below(self.address, name))

    def size(self, name: str) -> int | None:
        """The size of a file in bytes. None if it is missing."""
        return self._do(name, lambda filesystem, path: filesystem.get_file_info(path).size)

    def exists(self, name: str) -> bool:
        return self._do(name, _is_file)

    def read(self, name: str, how: Callable[[pa.NativeFile], Result]) -> Result:
        """The result of `how` for the open file. After an error it is called again.

        Raises MissingFileError if the file is missing.
        """

        def act(filesystem: fs.FileSystem, path: str) -> Result:
            with filesystem.open_input_file(path) as file:
                if isinstance(filesystem, fs.LocalFileSystem) or file.size() > WHOLE_BELOW:
                    return how(file)
                return how(pa.BufferReader(file.read()))

        return self._do(name, act)

    def read_footer(self, name: str, size: int) -> "FileMetaData | None":
        """The footer of a Parquet file of this size by one request, unchecked. None on a disk.

        An object store checks what it holds and sends. pyarrow asks for the size of a file that it opens,
        but not of a fragment of a data set. Raises as `read` does, and pyarrow's errors.
        """
        if self._place[2] is None:
            return None
        from pyarrow.dataset import ParquetFileFormat

        def act(filesystem: fs.FileSystem, path: str) -> "FileMetaData":
            return ParquetFileFormat().make_fragment(path, filesystem, file_size=size).metadata

        return self._do(name, act)

    def write(self, name: str, data: bytes) -> None:
        """Publish a whole file and replace any file of that name."""
        self._do(name, lambda filesystem, path: publish(filesystem, path, data), changes=True)

    def write_if_possible(self, name: str, data: bytes) -> bool:
        """Publish a whole file that nobody needs. Tries once, and gives whether it could."""
        filesystem, root, _ = self._place
        try:
            publish(filesystem, f"{root}/{name}", data)
        except OSError:
            return False
        return True

    def names(self, below: str) -> list[str]:
        """The files at any depth in the folder `below`, sorted. Empty if the folder is missing."""

        def act(filesystem: fs.FileSystem, path: str) -> list[str]:
            return [f"{below}{file.removeprefix(path)}" for file in file_names(filesystem, path)]

        return self._do(below, act)

    def listing(self, below: str) -> pa.Table:
        """The files at any depth in the folder `below`, with the columns of LISTING, sorted by name."""

        def act(filesystem: fs.FileSystem, path: str) -> pa.Table:
            rows = file_rows(filesystem, path)
            named = [(f"{below}{file.removeprefix(path)}", *facts) for file, *facts in rows]
            return pa.table([*zip(*named, strict=True)] or [[], [], []], schema=LISTING)

        return self._do(below, act)

    def folders(self, below: str) -> list[str]:
        """The folders at any depth in the folder `below`, sorted."""

        def act(filesystem: fs.FileSystem, path: str) -> list[str]:
            selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
            found = filesystem.get_file_info(selector)
            folders = (info.path for info in found if info.type == fs.FileType.Directory)
            return sorted(f"{below}{folder.removeprefix(path)}" for folder in folders)

        return self._do(below, act)

    def versions(self, below: str) -> dict[str, str]:
        """The size and the time of writing of the files at any depth in the folder `below`, by name.

        A file that is written again has another version. Empty if the folder is missing.
        """

        def act(filesystem: fs.FileSystem, path: str) -> dict[str, str]:
            selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
            found = filesystem.get_file_info(selector)
            return {
                f"{below}{info.path.removeprefix(path)}": f"{info.size}-{info.mtime_ns}"
                for info in found
                if info.type == fs.FileType.File
            }

        return self._do(below, act)

    def last_written(self, name: str) -> datetime | None:
        """When a file, or the newest file below a folder, was written. None if there is no file."""

        def act(filesystem: fs.FileSystem, path: str) -> datetime | None:
            found = [filesystem.get_file_info(path)]
            if found[0].type == fs.FileType.Directory:
                selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
                found = filesystem.get_file_info(selector)
            files = (info for info in found if info.type == fs.FileType.File)
            return max((info.mtime for info in files if info.mtime is not None), default=None)

        return self._do(name, act)

    def move(self, name: str, new_name: str) -> None:
        def act(filesystem: fs.FileSystem, path: str) -> None:
            target = f"{path.removesuffix(name)}{new_name}"
            # An earlier attempt may have moved the file although it reported an error.
            with suppress(FileNotFoundError):
                filesystem.move(path, target)

        self._do(name, act, changes=True)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

        def act(filesystem: fs.FileSystem, path: str) -> None:
            with suppress(FileNotFoundError):
                filesystem.delete_file(path)

        self._do(name, act, changes=True)

    def remove_leftovers(
        self, below: str, pattern: str, age_s: float, spared: Sequence[str] = ()
    ) -> None:
        """Remove the unfinished files of killed writers. Object stores keep no such files.

        spared  folders below that are not entered
        """

        def act(filesystem: fs.FileSystem, path: str) -> None:
            if not isinstance(filesystem, fs.LocalFileSystem):
                return
            for folder, folders, names in os.walk(path):
                if folder == path:
                    folders[:] = (name for name in folders if name not in spared)
                for file in (Path(folder, name) for name in names if fnmatch(name, pattern)):
                    with suppress(FileNotFoundError):  # another run has published or removed it
                        if time.time() - file.stat().st_mtime > age_s:
                            file.unlink()

        self._do(below, act, changes=True)


def _is_file(filesystem: fs.FileSystem, path: str) -> bool:
    return filesystem.get_file_info(path).type == fs.FileType.File

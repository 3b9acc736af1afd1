"""Files below a folder, on any file system that pyarrow knows. Each is published whole or not at all.

On a disk and on NFS, a file is written beside its target, synced and renamed over it, and then its folder is
synced. This needs no locks, and no reader sees half a file. An object store publishes an upload whole when
it is closed, and pyarrow closes it even after an error. So a file is complete in memory before its upload
begins, and nothing interrupts the thread that uploads it. Transient errors are retried (`trouble`).
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from pyarrow import fs

from raysweep.errors import ConfigError, StorageRefused, shown
from raysweep.storage.address import is_local, unfolded
from raysweep.storage.trouble import is_refusal, persistently

Result = TypeVar("Result")


@dataclass(frozen=True)
class Folder:
    """The folder at `address`: a local path, or a URI that pyarrow knows (`s3://…`, `gs://…`).

    Missing rights, and all other permanent errors of a change, are raised as StorageRefused: no sample is at
    fault. Permanent errors of reading are raised as ConfigError, and transient errors that last as
    StorageError.
    """

    address: str

    @cached_property
    def _located(self) -> tuple[fs.FileSystem, str]:
        if is_local(self.address):
            return fs.LocalFileSystem(), os.path.abspath(self.address)
        try:
            filesystem, path = fs.FileSystem.from_uri(unfolded(self.address))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise ConfigError(
                f"out: {shown(self.address)} is not an address that pyarrow knows ({error}); "
                "write a folder, or a file://, s3:// or gs:// address"
            ) from error
        path = path.rstrip("/")
        if not path and not isinstance(filesystem, fs.LocalFileSystem):
            raise ConfigError(
                f"out: {shown(self.address)} names no bucket; write {self.address}bucket/…"
            )
        return filesystem, path

    def _do(
        self, name: str, act: Callable[[fs.FileSystem, str], Result], changes: bool = False
    ) -> Result:
        """The result of `act` for the file system and the path of `name`. It may be called again.

        changes  whether `act` writes, moves or removes
        """

        def attempt() -> Result:
            filesystem, root = self._located
            return act(filesystem, f"{root}/{name}")

        try:
            return persistently(attempt, f"access to {name} in the run's folder")
        except OSError as error:
            if changes or is_refusal(error):
                raise StorageRefused(
                    f"storage: {name} in the run's folder cannot be {'written' if changes else 'read'} "
                    f"({error}); give this user the right to read and write there, or mend what stands in "
                    "the way, and run the same command to continue"
                ) from error
            raise ConfigError(
                f"out: {name} in the run's folder cannot be read or written ({error}); choose another "
                "folder or address, or remove the file if it is damaged"
            ) from error

    def size(self, name: str) -> int | None:
        """The size of a file in bytes. None if it is missing."""
        return self._do(name, lambda filesystem, path: filesystem.get_file_info(path).size)

    def exists(self, name: str) -> bool:
        return self._do(name, _is_file)

    def read(self, name: str, how: Callable[[pa.NativeFile], Result]) -> Result:
        """The result of `how` for the open file. After an error it is called again."""

        def act(filesystem: fs.FileSystem, path: str) -> Result:
            with filesystem.open_input_file(path) as file:
                return how(file)

        return self._do(name, act)

    def write(self, name: str, data: bytes) -> None:
        """Publish a whole file and replace any file of that name."""
        self._do(name, lambda filesystem, path: _publish(filesystem, path, data), changes=True)

    def names(self, below: str) -> list[str]:
        """The files at any depth in the folder `below`, sorted. Empty if the folder is missing."""

        def act(filesystem: fs.FileSystem, path: str) -> list[str]:
            selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
            found = filesystem.get_file_info(selector)
            files = (info.path for info in found if info.type == fs.FileType.File)
            return sorted(f"{below}{file.removeprefix(path)}" for file in files)

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


def _publish(filesystem: fs.FileSystem, path: str, data: bytes) -> None:
    if isinstance(filesystem, fs.LocalFileSystem):
        _publish_local(path, data)
    else:
        _uninterrupted(lambda: _upload(filesystem, path, data))


def _publish_local(target: str, data: bytes) -> None:
    """Write beside the target and rename into place. A failure leaves no file behind."""
    folder, name = os.path.split(target)
    os.makedirs(folder, exist_ok=True)
    temporary = f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(folder)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _sync_folder(folder: str) -> None:
    """Make a rename survive a power cut. Some file systems cannot sync a folder and raise OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _upload(filesystem: fs.FileSystem, path: str, data: bytes) -> None:
    with filesystem.open_output_stream(path) as stream:
        stream.write(data)


def _uninterrupted(act: Callable[[], None]) -> None:
    """Call `act` in its own thread, because an interruption of this one would close an unfinished upload.

    The thread is always waited for, so an interruption takes effect after it.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        thread.join()
    finally:
        thread.join()
    if errors:
        raise errors[0]

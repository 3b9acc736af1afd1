"""Files below a folder, on any file system that pyarrow knows; each is published whole or not at all.

On a disk, and on NFS, a file is written beside its target, synced, renamed over it, and its folder synced:
no locks, and no reader sees half of it. An object store publishes an upload when it is closed, whole, and
pyarrow closes it whatever happens; so what is published is in memory before the upload begins, and nothing
interrupts the thread that does it. Transient errors are tried again (`trouble`).
"""

import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from pyarrow import fs

from raysweep.errors import ConfigError, shown
from raysweep.storage.address import is_local, unfolded
from raysweep.storage.trouble import persistently

Result = TypeVar("Result")


@dataclass(frozen=True)
class Folder:
    """The folder at `address`: a local path, or a URI that pyarrow knows (`s3://…`, `gs://…`).

    What the file system says of trouble that waiting does not mend is raised as ConfigError; of trouble
    that lasts, as StorageError.
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
                f"out: {shown(self.address)} is no address that pyarrow knows ({error}); "
                "write a folder, or file://, s3:// or gs://"
            ) from error
        path = path.rstrip("/")
        if not path and not isinstance(filesystem, fs.LocalFileSystem):
            raise ConfigError(
                f"out: {shown(self.address)} names no bucket; write {self.address}bucket/…"
            )
        return filesystem, path

    def _do(self, name: str, act: Callable[[fs.FileSystem, str], Result]) -> Result:
        """What `act` gives for the file system and the path of `name`; it may be called again."""

        def attempt() -> Result:
            filesystem, root = self._located
            return act(filesystem, f"{root}/{name}")

        try:
            return persistently(attempt, f"{name} in the run's folder")
        except OSError as error:
            raise ConfigError(
                f"out: {name} in the run's folder cannot be read or written ({error}); give a folder "
                "or an address where it can, or remove the file if it is damaged"
            ) from error

    def size(self, name: str) -> int | None:
        """Bytes of a file; None if it is not there."""
        return self._do(name, lambda filesystem, path: filesystem.get_file_info(path).size)

    def exists(self, name: str) -> bool:
        return self._do(name, _is_file)

    def read(self, name: str, how: Callable[[pa.NativeFile], Result]) -> Result:
        """What `how` makes of the open file, which it may be given anew."""

        def act(filesystem: fs.FileSystem, path: str) -> Result:
            with filesystem.open_input_file(path) as file:
                return how(file)

        return self._do(name, act)

    def write(self, name: str, data: bytes) -> None:
        """Publish a file whole, replacing one of that name."""
        self._do(name, lambda filesystem, path: _publish(filesystem, path, data))

    def names(self, below: str) -> list[str]:
        """The files in the folder `below` and its folders, in order; none if it is not there."""

        def act(filesystem: fs.FileSystem, path: str) -> list[str]:
            selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
            found = filesystem.get_file_info(selector)
            files = (info.path for info in found if info.type == fs.FileType.File)
            return sorted(f"{below}{file.removeprefix(path)}" for file in files)

        return self._do(below, act)

    def last_written(self, name: str) -> datetime | None:
        """When a file, or the newest file below a folder, was written; None if there is none."""

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
            with suppress(
                FileNotFoundError
            ):  # an attempt that was told to have failed has moved it
                filesystem.move(path, target)

        self._do(name, act)

    def remove_leftovers(self, below: str, pattern: str, age_s: float) -> None:
        """Remove what killed writers left half written; object stores keep no such files."""

        def act(filesystem: fs.FileSystem, path: str) -> None:
            if not isinstance(filesystem, fs.LocalFileSystem):
                return
            for file in Path(path).rglob(pattern):
                with suppress(FileNotFoundError):  # published or removed by another run
                    if time.time() - file.stat().st_mtime > age_s:
                        file.unlink()

        self._do(below, act)


def _is_file(filesystem: fs.FileSystem, path: str) -> bool:
    return filesystem.get_file_info(path).type == fs.FileType.File


def _publish(filesystem: fs.FileSystem, path: str, data: bytes) -> None:
    if isinstance(filesystem, fs.LocalFileSystem):
        _publish_local(path, data)
    else:
        _uninterrupted(lambda: _upload(filesystem, path, data))


def _publish_local(target: str, data: bytes) -> None:
    """Write beside the target and rename into place; a failure leaves nothing behind."""
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
    """Make a rename outlast a power cut; some file systems cannot, and say that it is no file."""
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
    """Do it in a thread of its own: an interruption of this one would close an upload half way.

    The thread is waited for, so an interruption comes after it.
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

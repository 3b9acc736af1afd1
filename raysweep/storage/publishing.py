"""A file is published whole or not at all, on a disk and on an object store.

On a disk and on NFS, a file is written beside its target, synced and renamed over it, and then its folder is
synced. This needs no locks, and no reader sees half a file. An object store publishes an upload whole when
it is closed, and pyarrow closes it even after an error. So a file is complete in memory before its upload
begins, and nothing interrupts the thread that uploads it.
"""

import os
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress

from pyarrow import fs


def publish(filesystem: fs.FileSystem, path: str, data: bytes) -> None:
    """Publish a file at a path, and replace any file there. Raises OSError."""
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

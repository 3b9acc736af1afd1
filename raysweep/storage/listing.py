"""Listings of the files below a folder, with what tells one version of a file from another.

Python's own calls list a disk in a third of the time that pyarrow takes.
"""

import os
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

# What a listing tells of each file: its name, its size in bytes, and when it was written, in nanoseconds.
LISTING = pa.schema([("file", pa.string()), ("size", pa.int64()), ("modified", pa.int64())])


def file_names(filesystem: fs.FileSystem, path: str) -> list[str]:
    """The paths of the files at any depth below a path, sorted. Empty if there is no such folder."""
    if isinstance(filesystem, fs.LocalFileSystem):
        return sorted(entry.path for entry in _files(path))
    return sorted(info.path for info in _infos(filesystem, path))


def file_rows(filesystem: fs.FileSystem, path: str) -> list[tuple[str, int, int]]:
    """These files as rows of LISTING with their paths, sorted."""
    if not isinstance(filesystem, fs.LocalFileSystem):
        return sorted((i.path, i.size, i.mtime_ns or 0) for i in _infos(filesystem, path))
    found = []
    for entry in _files(path):
        try:
            facts = entry.stat()
        except FileNotFoundError:  # removed since
            continue
        found.append((entry.path, facts.st_size, facts.st_mtime_ns))
    return sorted(found)


def _infos(filesystem: fs.FileSystem, path: str) -> Iterator[fs.FileInfo]:
    selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
    return (info for info in filesystem.get_file_info(selector) if info.type == fs.FileType.File)


def _files(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        entries = list(os.scandir(path))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry.path)
        elif entry.is_file():
            yield entry


def places_in(listing: pa.Table, names: pa.ChunkedArray) -> pa.ChunkedArray:
    """The place of each of these names in a listing. Null where it is not listed."""
    options = pc.SetLookupOptions(value_set=listing["file"])
    return pc.call_function("index_in", [names], options)

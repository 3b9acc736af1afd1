"""Which files of a folder hold parts, and their footers."""

from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa

from raysweep.errors import ConfigError
from raysweep.storage.damaged import Damage
from raysweep.storage.files import Folder
from raysweep.storage.part_file import PART_NAME, is_compacted
from raysweep.storage.schemas import READABLE_VERSIONS
from raysweep.storage.seal import sealed_metadata

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData


def part_files(folder: Folder, below: str) -> pa.Table:
    """All files below a folder that should hold parts, as they are listed (`listing.LISTING`).

    A compacted file is published before the files that it replaces are removed. A listing that takes long may
    miss both, so the folder is listed again until no compacted file has come or gone.
    """
    while True:
        files = folder.listing(below)
        names = files["file"].to_pylist()
        files = files.filter(
            pa.array([PART_NAME.search(name) is not None for name in names], pa.bool_())
        )
        if list(filter(is_compacted, names)) == list(filter(is_compacted, folder.names(below))):
            return files


def footer_of(folder: Folder, name: str, size: int | None) -> "FileMetaData":
    """A file's footer, checked against its seal.

    size  the file's size in bytes, if it is known; an object store is then asked once
    """
    if size is not None:
        with suppress(*Damage):  # it is read again, and then it is known what is wrong
            if found := folder.read_footer(name, size):
                return found
    return folder.read(name, sealed_metadata)


def check_version(path: str, version: str) -> None:
    """Raise ConfigError for a file of a schema version that cannot be read."""
    if version not in map(str, READABLE_VERSIONS):
        raise ConfigError(
            f"{path}: has schema version {version}, but this raysweep reads only "
            f"{', '.join(map(str, READABLE_VERSIONS))}; use the raysweep that wrote it, or choose another run"
        )

"""A run's folder: Parquet parts published atomically, tables and texts, on any pyarrow filesystem.

The one idea: a part is either complete or missing (see `storage.files`). A reader never sees half a file, a
retry replaces a file instead of adding one, and the files in the folder are the only record of finished
work. Every Parquet file is sealed (`storage.seal`), so damage is detected. A store with a lease stops writing
when it loses the lease.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from raysweep.errors import ConfigError
from raysweep.shard import Place
from raysweep.storage import part_reading
from raysweep.storage.address import absolute
from raysweep.storage.damaged import Damage, DamagedPartError
from raysweep.storage.encoding import parquet_bytes
from raysweep.storage.files import Folder, MissingFileError
from raysweep.storage.lease import LOOK_EVERY_S, Lease
from raysweep.storage.part import PART_KEY, Part, encoded
from raysweep.storage.part_file import described, once
from raysweep.storage.part_footers import VERSION_KEY, part_files
from raysweep.storage.part_reading import damage_of
from raysweep.storage.schemas import SCHEMA_VERSION
from raysweep.storage.seal import check_whole, opened, sealed_metadata
from raysweep.storage.whole_file import WholeFile, whole_file

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

# A temporary file that is younger than this may still be in use.
LEFTOVER_AGE_S = 3600
# What a file is called before it is renamed into place: its name, and 32 hex digits.
UNFINISHED = f".*.{'[0-9a-f]' * 32}.tmp"
SAMPLES_FOLDER = "samples"
EPOCH_KEY = b"raysweep.epoch"


@dataclass(frozen=True)
class Store:
    """The folder `root`: a local path, or a URI that pyarrow knows (`s3://…`, `gs://…`).

    With a `lease`, every Parquet file carries the lease's epoch, and LeaseLost is raised instead of writing
    when another driver has taken over. Storage that fails for minutes is a StorageError.
    """

    root: str
    lease: Lease | None = None

    @cached_property
    def folder(self) -> Folder:
        return Folder(self.root)

    @property
    def absolute(self) -> "Store":
        """The same folder for a process with another working directory."""
        return replace(self, root=absolute(self.root))

    def path(self, name: str) -> str:
        """The place of `name` as people see it: a path, or a URI without secrets."""
        return self.folder.shown(name)

    def fence(self, every_s: float = 0.0) -> None:
        """Raise LeaseLost if the store's lease is lost. Looks at most once every `every_s` seconds."""
        if self.lease is not None:
            self.lease.check(every_s)

    def exists(self, name: str) -> bool:
        return self.folder.exists(name)

    def size(self, name: str) -> int | None:
        """The size of a file in bytes. None if it is missing."""
        return self.folder.size(name)

    def read_bytes(self, name: str) -> bytes:
        return self.folder.read(name, lambda file: file.read())

    def read_text(self, name: str) -> str:
        return self.read_bytes(name).decode()

    def text_if_there(self, name: str) -> str | None:
        """The text of a file. None if it is missing. `exists` first would be a request more."""
        try:
            return self.read_text(name)
        except MissingFileError:
            return None

    def write_text(self, name: str, text: str) -> None:
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Publish a whole file and replace any file of that name."""
        self.fence()
        self.folder.write(name, data)

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Publish whole files, given by name and content, side by side."""
        self.fence()
        for _ in self.folder.side_by_side(lambda file: self.folder.write(*file), files):
            self.fence(LOOK_EVERY_S)

    def write_table(
        self, name: str, table: pa.Table, metadata: Mapping[bytes, bytes] | None = None
    ) -> None:
        """Publish a whole Parquet file. It carries the schema version, the lease's epoch and `metadata`."""
        self.write_bytes(name, self._encoded([table], metadata or {}))

    def update_table(self, name: str, table: pa.Table) -> None:
        """Publish a whole Parquet file, unless it holds these rows."""
        if not (self.exists(name) and self._holds(name, table)):
            self.write_table(name, table)

    def _holds(self, name: str, table: pa.Table) -> bool:
        try:
            return self.read_whole_table(name).equals(table)
        except DamagedPartError:
            return False

    def read_metadata(self, name: str) -> Mapping[bytes, bytes]:
        """The metadata of a Parquet file. Raises DamagedPartError if its footer cannot be read."""
        try:
            return self.folder.read(name, sealed_metadata).metadata or {}
        except Damage as error:
            raise damage_of(self.folder, name, error) from error

    def _encoded(
        self,
        tables: Iterable[pa.Table],
        metadata: Mapping[bytes, bytes],
        version: int = SCHEMA_VERSION,
    ) -> bytes:
        stamped = {VERSION_KEY: str(version).encode(), **metadata}
        if self.lease is not None:
            stamped[EPOCH_KEY] = str(self.lease.epoch).encode()
        return parquet_bytes(tables, stamped)

    def read_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        try:
            return self.folder.read(
                name, lambda file: opened(file).read(columns=list(columns) if columns else None)
            )
        except (pa.ArrowException, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                f"{self.path(name)}: is not a whole Parquet file ({error}); "
                "remove it, and run its stage again"
            ) from error

    def write_part(self, part: Part, samples: pa.Table) -> None:
        """Publish a shard's samples under the shard's name. A part that is rewritten keeps its version."""
        if self.lease is not None:
            part = replace(part, epoch=self.lease.epoch)
        data = self._encoded([samples], {PART_KEY: encoded(part)}, part.version)
        self.fence(LOOK_EVERY_S)
        self.folder.write(part.name, data)

    def write_parts(self, name: str, parts: Sequence[Part], tables: Iterable[pa.Table]) -> None:
        """Publish a compacted file: parts of one schema version, and the table of each."""
        data = self._encoded(tables, described(parts), parts[0].version)
        self.fence(LOOK_EVERY_S)
        self.folder.write(name, data)

    def read_part(
        self, place: Place, columns: Sequence[str], dictionaries: Sequence[str] = ()
    ) -> pa.Table:
        """The named columns of a part (see `part_reading.read_part`)."""
        return part_reading.read_part(self.folder, place, columns, dictionaries)

    def read_parts(
        self, places: Sequence[Place], columns: Sequence[str], dictionaries: Sequence[str] = ()
    ) -> list[pa.Table]:
        """The named columns of several parts that lie in one file, which is opened once.

        Raises as `read_part` does.
        """
        return part_reading.read_parts(self.folder, places, columns, dictionaries)

    def read_whole_part(self, place: Place) -> tuple[Part, pa.Table]:
        """A part and all its columns, with the footer and each of its pages checked.

        Raises DamagedPartError if the part has changed since it was written, and ConfigError if it has
        another schema version.
        """
        return part_reading.read_whole_part(self.folder, place)

    def read_whole_file(self, name: str) -> WholeFile:
        """A file of samples with every byte checked. Raises as `read_whole_part` does."""
        self.read_notes(name)
        return whole_file(name, self.path(name), self.read_bytes(name))

    def read_whole_table(self, name: str) -> pa.Table:
        """A table with every byte checked. Raises DamagedPartError if it changed since it was written."""
        data = self.read_bytes(name)
        try:
            check_whole(data)
            return opened(pa.BufferReader(data)).read(use_threads=False)
        except (*Damage, OSError) as error:
            raise DamagedPartError(name, self.path(name), error) from error

    def parts(self) -> Iterator[Part]:
        """All finished parts, each once, sorted by name.

        Raises DamagedPartError for a damaged file or one that raysweep did not write, and ConfigError for
        a part of another schema version.
        """
        while True:
            with suppress(MissingFileError):  # moved into a compacted file meanwhile: look again
                notes = [self.read_notes(name) for name in self.part_names()]
                return once(part for parts in notes for part in parts)

    def part_names(self, below: str = "samples") -> list[str]:
        """The names of all files below a folder that should hold parts, sorted."""
        return self.part_files(below)["file"].to_pylist()

    def part_files(self, below: str = "samples") -> pa.Table:
        """All files below a folder that should hold parts, as they are listed (`listing.LISTING`)."""
        return part_files(self.folder, below)

    def read_notes(self, name: str, size: int | None = None) -> tuple[Part, ...]:
        """The parts that a file's metadata describe. Takes and raises what `read_footer` does."""
        return self.read_footer(name, size)[0]

    def read_footer(
        self, name: str, size: int | None = None
    ) -> tuple[tuple[Part, ...], "FileMetaData"]:
        """The parts in a file, and its Parquet metadata.

        size  the file's size in bytes, if it is known; an object store is then asked once

        Raises as `parts` does, or MissingFileError.
        """
        return part_reading.read_footer(self.folder, name, size)

    def remove_leftovers(self) -> None:
        """Remove the unfinished parts of killed writers."""
        for pattern in (".shard-*.tmp", ".parts-*.tmp"):
            self.folder.remove_leftovers(SAMPLES_FOLDER, pattern, LEFTOVER_AGE_S)

    def remove_unfinished_results(self) -> None:
        """Remove all other unfinished files of killed writers, without looking through the parts."""
        self.folder.remove_leftovers("", UNFINISHED, LEFTOVER_AGE_S, spared=[SAMPLES_FOLDER])

    def read_samples(self, places: Iterable[Place], columns: Sequence[str]) -> pa.Table:
        """The samples of some parts. A missing part adds no rows."""
        return part_reading.read_samples(self.folder, places, columns)

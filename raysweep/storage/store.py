"""A run's folder: Parquet parts published atomically, tables and texts, on any pyarrow filesystem.

The one idea: a part is either complete or missing (see `storage.files`). A reader never sees half a file, a
retry replaces a file instead of adding one, and the files in the folder are the only record of finished
work. Every Parquet file is sealed (`storage.seal`), so damage is detected. A store with a lease stops writing
when it loses the lease.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.errors import ConfigError
from raysweep.storage.address import absolute, below
from raysweep.storage.damaged import Damage, DamagedPartError
from raysweep.storage.files import Folder
from raysweep.storage.lease import LOOK_EVERY_S, Lease
from raysweep.storage.part import PART_KEY, PART_NAME, Part, decoded, encoded, part_name
from raysweep.storage.schemas import READABLE_VERSIONS, SAMPLES, SCHEMA_VERSION
from raysweep.storage.seal import check_whole, seal, sealed_metadata
from raysweep.system.safe_text import without_secrets

# A temporary file that is younger than this may still be in use.
LEFTOVER_AGE_S = 3600
# What a file is called before it is renamed into place: its name, and 32 hex digits.
UNFINISHED = f".*.{'[0-9a-f]' * 32}.tmp"
SAMPLES_FOLDER = "samples"
VERSION_KEY = b"raysweep.schema_version"
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
        return without_secrets(below(self.root, name))

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

    def write_text(self, name: str, text: str) -> None:
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Publish a whole file and replace any file of that name."""
        self.fence()
        self.folder.write(name, data)

    def write_table(self, name: str, table: pa.Table) -> None:
        """Publish a whole Parquet file. It carries the schema version and the lease's epoch."""
        self.write_bytes(name, self._encoded(table, {}))

    def _encoded(
        self, table: pa.Table, metadata: dict[bytes, bytes], version: int = SCHEMA_VERSION
    ) -> bytes:
        stamped = {VERSION_KEY: str(version).encode(), **metadata}
        if self.lease is not None:
            stamped[EPOCH_KEY] = str(self.lease.epoch).encode()
        sink = pa.BufferOutputStream()
        pq.write_table(
            table.replace_schema_metadata(stamped),
            sink,
            compression="zstd",
            write_page_checksum=True,
        )
        return seal(sink.getvalue().to_pybytes())

    def read_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        try:
            return self.folder.read(
                name, lambda file: _opened(file).read(columns=list(columns) if columns else None)
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
        data = self._encoded(samples, {PART_KEY: encoded(part)}, part.version)
        self.fence(LOOK_EVERY_S)
        self.folder.write(part.name, data)

    def read_part(
        self,
        engine_id: str,
        shard_id: str,
        columns: Sequence[str],
        dictionaries: Sequence[str] = (),
    ) -> pa.Table:
        """The named columns of a part.

        columns       nested columns are named by their path
        dictionaries  columns that are read dictionary-encoded

        Raises DamagedPartError if the file exists but cannot be read as a part.
        """
        name = part_name(engine_id, shard_id)

        def read(file: pa.NativeFile) -> pa.Table:
            return _opened(file, dictionaries).read(columns=list(columns), use_threads=False)

        try:
            table = self.folder.read(name, read)
        except Damage as error:
            raise self._damaged(name, error) from error
        if missing := {column.partition(".")[0] for column in columns} - set(table.column_names):
            raise DamagedPartError(name, self.path(name), f"it lacks {', '.join(sorted(missing))}")
        return table.replace_schema_metadata(None)

    def read_whole_part(self, name: str) -> tuple[Part, pa.Table, bool]:
        """A part, its table with every byte checked, and whether it has a seal.

        Raises DamagedPartError if the part has changed since it was written, and ConfigError if it has
        another schema version.
        """
        part = self.read_note(name)
        table, sealed = self._read_whole(name)
        return part, table, sealed

    def read_whole_table(self, name: str) -> pa.Table:
        """A table with every byte checked. Raises DamagedPartError if it changed since it was written."""
        return self._read_whole(name)[0]

    def _read_whole(self, name: str) -> tuple[pa.Table, bool]:
        data = self.read_bytes(name)
        try:
            sealed = check_whole(data)
            return _opened(pa.BufferReader(data)).read(use_threads=False), sealed
        except (*Damage, OSError) as error:
            raise DamagedPartError(name, self.path(name), error) from error

    def parts(self) -> Iterator[Part]:
        """All finished parts, sorted by name.

        Raises DamagedPartError for a damaged file or one that raysweep did not write, and ConfigError for
        a part of another schema version.
        """
        for name in self.part_names():
            yield self.read_note(name)

    def part_names(self) -> list[str]:
        """The names of all files that should be parts, relative to the run's folder."""
        return [name for name in self.folder.names("samples") if PART_NAME.search(name)]

    def read_note(self, name: str) -> Part:
        """The part that a file's metadata describe. Raises as `parts` does."""
        try:
            metadata = self.folder.read(name, sealed_metadata).metadata or {}
            version, part = metadata[VERSION_KEY].decode(), decoded(metadata[PART_KEY])
        except Damage as error:
            raise self._damaged(name, error) from error
        if version not in map(str, READABLE_VERSIONS):
            raise ConfigError(
                f"{self.path(name)}: has schema version {version}, but this raysweep reads only "
                f"{', '.join(map(str, READABLE_VERSIONS))}; use the raysweep that wrote it, or choose "
                "another run"
            )
        if part.name != name:
            raise DamagedPartError(name, self.path(name), "its metadata belong to another part")
        return part

    def _damaged(self, name: str, error: Exception) -> DamagedPartError:
        """The error for a part that cannot be read. Raises if the storage is at fault, not the part."""
        self.read_bytes(name)
        return DamagedPartError(name, self.path(name), error)

    def remove_leftovers(self) -> None:
        """Remove the unfinished parts of killed writers."""
        self.folder.remove_leftovers(SAMPLES_FOLDER, ".shard-*.tmp", LEFTOVER_AGE_S)

    def remove_unfinished_results(self) -> None:
        """Remove all other unfinished files of killed writers, without looking through the parts."""
        self.folder.remove_leftovers("", UNFINISHED, LEFTOVER_AGE_S, spared=[SAMPLES_FOLDER])

    def read_samples(
        self, engine_id: str, shard_ids: Sequence[str], columns: Sequence[str]
    ) -> pa.Table:
        """The samples of an engine's shards. A missing part adds no rows."""
        names = [part_name(engine_id, shard_id) for shard_id in shard_ids]
        tables = [self.read_table(name, columns) for name in names if self.exists(name)]
        empty = SAMPLES.empty_table().select(list(columns))
        # Parts that are older than a column have nulls in it.
        return pa.concat_tables(
            [empty, *(table.replace_schema_metadata(None) for table in tables)],
            promote_options="default",
        )


def _opened(file: pa.NativeFile, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    """A Parquet file with its footer checked. Pages are checked when they are read."""
    metadata = sealed_metadata(file)
    return pq.ParquetFile(
        file,
        metadata=metadata,
        read_dictionary=list(dictionaries),
        page_checksum_verification=True,
    )

"""A run's folder: Parquet parts published atomically, tables and texts, on any pyarrow filesystem.

The one idea: a part is whole or not there. It is written under a temporary name and renamed into place
(object stores publish an upload at once, so there the name itself is written). A reader therefore never
sees half a file, a retry replaces instead of adding, and what has been done is what lies in the folder.
"""

import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from raysweep.errors import ConfigError, shown
from raysweep.tables import SAMPLES, SCHEMA_VERSION

LEFTOVER_AGE_S = 3600  # a younger file may still be written to
PART_KEY = b"raysweep.part"
VERSION_KEY = b"raysweep.schema_version"
PART_NAME = re.compile(r"/shard-[^/]*\.parquet$")
ASIDE = ".damaged"  # appended to the name of a part that cannot be read


class DamagedPartError(ConfigError):
    """A file where a part should be; `name` is where it lies in the run's folder."""

    def __init__(self, name: str, path: str, reason: object):
        super().__init__(
            f"{path}: not a whole part of a run ({reason}); remove it, and its samples are made again"
        )
        self.name = name


@dataclass(frozen=True)
class Part:
    """What a finished part holds, as written into its own metadata.

    tokens    decoded for it, forks included; 0 if not noted
    engine_s  seconds in which its engine decoded, since the part before it
    device    the kind of GPU that did, "" for a CPU or an unnamed one
    """

    engine_id: str
    shard_id: str
    stream_id: str
    questions: dict[str, str]  # question id -> content hash of the question
    sample_start: int
    sample_count: int
    graders: dict[str, str] = field(
        default_factory=dict
    )  # question id -> `grading.tag` of its answers
    tokens: int = 0
    engine_s: float = 0.0
    device: str = ""


@dataclass(frozen=True)
class Store:
    """The folder `root`: a local path, or a URI that pyarrow knows (`s3://…`, `gs://…`)."""

    root: str

    @cached_property
    def _located(self) -> tuple[fs.FileSystem, str]:
        if "://" not in self.root:
            return fs.LocalFileSystem(), os.path.abspath(self.root)
        try:
            filesystem, path = fs.FileSystem.from_uri(self.root)
        except pa.ArrowInvalid as error:
            raise ConfigError(
                f"out: {shown(self.root)} is no address that pyarrow knows ({error}); "
                "write a folder, or file://, s3:// or gs://"
            ) from error
        return filesystem, path

    @property
    def absolute(self) -> "Store":
        """The same folder, for a process that may have another working directory."""
        return self if "://" in self.root else Store(os.path.abspath(self.root))

    def path(self, name: str) -> str:
        """Where a person finds `name`: a path, or a URI."""
        return f"{self.root.rstrip('/')}/{name}"

    @contextmanager
    def _reaching(self, name: str) -> Iterator[tuple[fs.FileSystem, str]]:
        """The file system and the path of `name`; what it says of trouble is told as bad input."""
        try:
            filesystem, root = self._located
            yield filesystem, f"{root}/{name}"
        except OSError as error:
            raise ConfigError(
                f"out: {name} in the run's folder cannot be read or written ({error}); give a folder "
                "or an address where it can, or remove the file if it is damaged"
            ) from error

    def exists(self, name: str) -> bool:
        with self._reaching(name) as (filesystem, path):
            return filesystem.get_file_info(path).type == fs.FileType.File

    def size(self, name: str) -> int | None:
        """Bytes of a file; None if it is not there."""
        with self._reaching(name) as (filesystem, path):
            return filesystem.get_file_info(path).size

    def read_bytes(self, name: str) -> bytes:
        with (
            self._reaching(name) as (filesystem, path),
            filesystem.open_input_stream(path) as stream,
        ):
            return stream.read()

    def read_text(self, name: str) -> str:
        return self.read_bytes(name).decode()

    def write_text(self, name: str, text: str) -> None:
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Publish a file whole, replacing one of that name."""
        with self._reaching(name) as (filesystem, path):
            if isinstance(filesystem, fs.LocalFileSystem):
                _publish_local(path, data)
                return
            with filesystem.open_output_stream(path) as stream:
                stream.write(data)

    def write_table(
        self, name: str, table: pa.Table, metadata: dict[bytes, bytes] | None = None
    ) -> None:
        """Publish a Parquet file whole; it carries the schema version."""
        stamped = {VERSION_KEY: str(SCHEMA_VERSION).encode(), **(metadata or {})}
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata(stamped), sink, compression="zstd")
        self.write_bytes(name, sink.getvalue().to_pybytes())

    def read_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        try:
            with (
                self._reaching(name) as (filesystem, path),
                filesystem.open_input_file(path) as file,
            ):
                return pq.ParquetFile(file).read(columns=list(columns) if columns else None)
        except pa.ArrowInvalid as error:
            raise ConfigError(
                f"{self.path(name)}: not a whole Parquet file ({error}); "
                "remove it, and have its stage write it again"
            ) from error

    def write_part(self, part: Part, samples: pa.Table) -> None:
        """Publish a shard's samples under the shard's name."""
        metadata = {PART_KEY: json.dumps(asdict(part)).encode()}
        self.write_table(part_name(part.engine_id, part.shard_id), samples, metadata)

    def read_part(
        self,
        engine_id: str,
        shard_id: str,
        columns: Sequence[str],
        dictionaries: Sequence[str] = (),
    ) -> pa.Table:
        """Columns of a part, nested ones by their path; `dictionaries` come dictionary-encoded.

        Raises DamagedPartError if the file is there, but cannot be read as a part.
        """
        name = part_name(engine_id, shard_id)
        try:
            with (
                self._reaching(name) as (filesystem, path),
                filesystem.open_input_file(path) as file,
            ):
                part = pq.ParquetFile(file, read_dictionary=list(dictionaries))
                table = part.read(columns=list(columns), use_threads=False)
        except (pa.ArrowException, ConfigError, KeyError) as error:
            raise self._damaged(name, error) from error
        if missing := {column.partition(".")[0] for column in columns} - set(table.column_names):
            raise DamagedPartError(name, self.path(name), f"it lacks {', '.join(sorted(missing))}")
        return table.replace_schema_metadata(None)

    def parts(self) -> Iterator[Part]:
        """All finished parts, in order of their names.

        Raises DamagedPartError for a file that raysweep did not write, or that was damaged since, and
        ConfigError for one of another schema version.
        """
        for name in self._part_names():
            yield self._read_metadata(name)

    def set_damaged_aside(self) -> list[str]:
        """Rename the parts whose metadata cannot be read, so that they are parts no more; their paths."""
        aside = []
        for name in self._part_names():
            try:
                self._read_metadata(name)
            except DamagedPartError:
                aside.append(self.set_aside(name))
        return aside

    def set_aside(self, name: str) -> str:
        """Rename a damaged part: nothing is lost, and its samples are to be made again; its path."""
        with self._reaching(name) as (filesystem, path):
            filesystem.move(path, path + ASIDE)
        return self.path(name + ASIDE)

    def _part_names(self) -> list[str]:
        with self._reaching("samples") as (filesystem, path):
            selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
            paths = sorted(info.path for info in filesystem.get_file_info(selector))
        inside = (f"samples{found.removeprefix(path)}" for found in paths)
        return [name for name in inside if PART_NAME.search(name)]

    def _read_metadata(self, name: str) -> Part:
        try:
            with (
                self._reaching(name) as (filesystem, path),
                filesystem.open_input_file(path) as file,
            ):
                metadata = pq.read_metadata(file).metadata or {}
            version, part = metadata[VERSION_KEY].decode(), Part(**json.loads(metadata[PART_KEY]))
        except (pa.ArrowException, ConfigError, KeyError, TypeError, ValueError) as error:
            raise self._damaged(name, error) from error
        if version != str(SCHEMA_VERSION):
            raise ConfigError(
                f"{self.path(name)}: of schema version {version}, and this raysweep reads "
                f"{SCHEMA_VERSION}; go on with the raysweep that wrote it, or choose another run"
            )
        return part

    def _damaged(self, name: str, error: Exception) -> DamagedPartError:
        """The error for a part that is not to be read; raises if it is the way to it that is at fault."""
        self.read_bytes(name)
        return DamagedPartError(name, self.path(name), error)

    def remove_leftovers(self) -> None:
        """Remove what killed writers left half written; object stores keep no such files."""
        with self._reaching("samples") as (filesystem, path):
            if isinstance(filesystem, fs.LocalFileSystem):
                for file in Path(path).rglob(".shard-*.tmp"):
                    with suppress(FileNotFoundError):  # published or removed by another run
                        if time.time() - file.stat().st_mtime > LEFTOVER_AGE_S:
                            file.unlink()

    def read_samples(
        self, engine_id: str, shard_ids: Sequence[str], columns: Sequence[str]
    ) -> pa.Table:
        """The samples of an engine's shards; a part that is not there adds no rows."""
        names = [part_name(engine_id, shard_id) for shard_id in shard_ids]
        tables = [self.read_table(name, columns) for name in names if self.exists(name)]
        empty = SAMPLES.empty_table().select(list(columns))
        # A part that was written before a column was thought of has nulls there.
        return pa.concat_tables(
            [empty, *(table.replace_schema_metadata(None) for table in tables)],
            promote_options="default",
        )


def part_name(engine_id: str, shard_id: str) -> str:
    return f"samples/engine={engine_id}/shard-{shard_id}.parquet"


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
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise

"""Parts are read from the file in which they lie, or from the one to which they were moved meanwhile."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from raysweep.shard import Place
from raysweep.storage.damaged import Damage, DamagedPartError
from raysweep.storage.files import Folder, MissingFileError
from raysweep.storage.part import Part
from raysweep.storage.part_file import PART_NAME, groups_of, is_compacted, notes_of, tables_of
from raysweep.storage.part_footers import VERSION_KEY, check_version, footer_of
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.seal import opened

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

Result = TypeVar("Result")

# How often in a row a part may have moved while it is read.
MOST_MOVES = 5


def read_part(
    folder: Folder, place: Place, columns: Sequence[str], dictionaries: Sequence[str]
) -> pa.Table:
    """The named columns of a part.

    columns       nested columns are named by their path
    dictionaries  columns that are read dictionary-encoded

    Raises DamagedPartError if the file exists but cannot be read as one with the part.
    """

    def read(found: Place) -> pa.Table:
        table = _columns(folder, found, columns, dictionaries)
        lacking = {column.partition(".")[0] for column in columns} - set(table.column_names)
        if lacking:
            reason = f"it lacks {', '.join(sorted(lacking))}"
            raise DamagedPartError(found.file, folder.shown(found.file), reason)
        return table

    return _at(folder, place, read)


def read_parts(
    folder: Folder, places: Sequence[Place], columns: Sequence[str], dictionaries: Sequence[str]
) -> list[pa.Table]:
    """The named columns of several parts that lie in one file. Raises as `read_part` does."""
    if len(places) > 1:
        with suppress(MissingFileError):  # each part is looked for where it was moved
            return _together(folder, places, columns, dictionaries)
    return [read_part(folder, place, columns, dictionaries) for place in places]


def _together(
    folder: Folder, places: Sequence[Place], columns: Sequence[str], dictionaries: Sequence[str]
) -> list[pa.Table]:
    def read(file: pa.NativeFile) -> list[pa.Table]:
        return tables_of(opened(file, dictionaries), [one.shard_id for one in places], columns)

    return _whole(folder, places[0].file, read)


def _columns(
    folder: Folder,
    place: Place,
    columns: Sequence[str] | None,
    dictionaries: Sequence[str] = (),
) -> pa.Table:
    names = None if columns is None else list(columns)

    def read(file: pa.NativeFile) -> pa.Table:
        found = opened(file, dictionaries)
        groups = list(groups_of(found.metadata, place.shard_id))
        return found.read_row_groups(groups, columns=names, use_threads=False)

    return _whole(folder, place.file, read).replace_schema_metadata(None)


def _whole(folder: Folder, name: str, read: Callable[[pa.NativeFile], Result]) -> Result:
    """What `read` gives for a file. Raises MissingFileError, or DamagedPartError."""
    try:
        return folder.read(name, read)
    except MissingFileError:
        raise
    except Damage as error:
        raise damage_of(folder, name, error) from error


def damage_of(folder: Folder, name: str, error: Exception) -> DamagedPartError:
    """The error for a file that cannot be read. Raises if the storage is at fault, not the file."""
    folder.read(name, lambda file: file.read())
    return DamagedPartError(name, folder.shown(name), error)


def _at(folder: Folder, place: Place, read: Callable[[Place], Result]) -> Result:
    """What `read` gives for the place of a part, or for the one to which it was moved meanwhile."""
    for _ in range(MOST_MOVES):
        try:
            return read(place)
        except MissingFileError:
            place = _moved(folder, place)
    return read(place)


def _moved(folder: Folder, place: Place) -> Place:
    """Where a part is that is no longer in its file. Raises MissingFileError if it is nowhere."""
    for name in folder.names(place.file.rpartition("/")[0]):
        if PART_NAME.search(name) and (is_compacted(name) or place.shard_id in name):
            with suppress(MissingFileError):
                if any(part.shard_id == place.shard_id for part in read_footer(folder, name)[0]):
                    return Place(name, place.shard_id)
    raise MissingFileError(
        f"{folder.shown(place.file)}: is missing, and no other file has its samples; run the stage "
        "generate, which makes them again"
    )


def read_footer(
    folder: Folder, name: str, size: int | None = None
) -> tuple[tuple[Part, ...], "FileMetaData"]:
    """The parts in a file, and its Parquet metadata. See `Store.read_footer`."""
    try:
        footer = footer_of(folder, name, size)
        metadata = footer.metadata or {}
        version, parts = metadata[VERSION_KEY].decode(), notes_of(name, metadata)
    except MissingFileError:
        raise
    except Damage as error:
        raise damage_of(folder, name, error) from error
    check_version(folder.shown(name), version)
    return parts, footer


def read_whole_part(folder: Folder, place: Place) -> tuple[Part, pa.Table]:
    """A part and all its columns. See `Store.read_whole_part`."""

    def read(found: Place) -> tuple[Part, pa.Table]:
        notes = {part.shard_id: part for part in read_footer(folder, found.file)[0]}
        return notes[found.shard_id], _columns(folder, found, None)

    return _at(folder, place, read)


def read_samples(folder: Folder, places: Iterable[Place], columns: Sequence[str]) -> pa.Table:
    """The samples of some parts. A missing part adds no rows."""
    tables = [SAMPLES.empty_table().select(list(columns))]
    for place in places:
        with suppress(MissingFileError):
            tables.append(_at(folder, place, lambda found: _columns(folder, found, columns)))
    # Parts that are older than a column have nulls in it.
    return pa.concat_tables(tables, promote_options="default")

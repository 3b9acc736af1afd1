"""The two kinds of files that hold parts, and what their Parquet metadata say.

A shard file is what an engine's actor writes: one part. A compacted file holds several parts of an engine
on a benchmark (`storage.compaction`). Each part has row groups of its own, so one part is read without the
others.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from raysweep.shard import Place
from raysweep.storage.part import PART_KEY, Part, decoded, encoded, of_note, part_name
from raysweep.system.content import content_hash

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData, ParquetFile

# Keys of a compacted file's metadata: the notes of its parts, and each part's row groups by shard id.
NOTES_KEY = b"raysweep.parts"
GROUPS_KEY = b"raysweep.row_groups"
PART_NAME = re.compile(r"/(?:shard|parts)-[^/]*\.parquet$")
COMPACTED_NAME = re.compile(r"/parts-[^/]*\.parquet$")


def place_of(part: Part) -> Place:
    return Place(part.file or part.name, part.shard_id)


def shard_place(engine_id: str, shard_id: str) -> Place:
    """Where the part of a shard lies as long as it is not moved into a compacted file."""
    return Place(part_name(engine_id, shard_id), shard_id)


def is_compacted(name: str) -> bool:
    """Whether a file of this name holds several parts."""
    return COMPACTED_NAME.search(name) is not None


def compacted_name(engine_id: str, benchmark: str, shard_ids: Iterable[str]) -> str:
    """The name of the compacted file with these parts."""
    return f"samples/engine={engine_id}/parts-{benchmark}-{content_hash(sorted(shard_ids))}.parquet"


def notes_of(name: str, metadata: Mapping[bytes, bytes]) -> tuple[Part, ...]:
    """The parts in a file, in the order of their rows.

    Raises KeyError or ValueError if the metadata do not describe the parts of a file of that name.
    """
    if not is_compacted(name):
        part = decoded(metadata[PART_KEY])
        if part.name != name:
            raise ValueError("its metadata belong to another part")
        return (replace(part, file=name),)
    notes, groups = json.loads(metadata[NOTES_KEY]), _all_groups(metadata)
    if not isinstance(notes, list):
        raise ValueError("it does not say which parts it holds")
    parts = tuple(replace(of_note(note), file=name) for note in notes)
    if [part.shard_id for part in parts] != list(groups):
        raise ValueError("the parts that it describes are not those that it holds")
    folder = name.rpartition("/")[0]
    if any(part.name.rpartition("/")[0] != folder for part in parts):
        raise ValueError("it has parts of another engine")
    return parts


def groups_of(metadata: "FileMetaData", shard_id: str) -> range:
    """The row groups of a part. Raises KeyError if the file does not hold the part."""
    own = metadata.metadata or {}
    if GROUPS_KEY not in own:
        return range(metadata.num_row_groups)
    return _all_groups(own)[shard_id]


def tables_of(
    file: "ParquetFile", shard_ids: Sequence[str], columns: Sequence[str]
) -> list[pa.Table]:
    """Several parts of a file. Raises KeyError if it lacks one of them or a column.

    Each is read by itself, since pyarrow reads no nested dictionaries across row groups.
    """
    groups = _all_groups(file.metadata.metadata or {})
    own = [list(groups[shard_id]) for shard_id in shard_ids]
    tables = [file.read_row_groups(some, columns=list(columns), use_threads=False) for some in own]
    named = set(tables[0].column_names) if tables else set()
    if lacking := {column.partition(".")[0] for column in columns} - named:
        raise KeyError(f"it lacks {', '.join(sorted(lacking))}")
    return [table.replace_schema_metadata(None) for table in tables]


def _all_groups(metadata: Mapping[bytes, bytes]) -> dict[str, range]:
    groups = json.loads(metadata[GROUPS_KEY])
    if not isinstance(groups, dict):
        raise ValueError("it does not say where its parts are")
    for pair in groups.values():
        if not (
            isinstance(pair, list) and len(pair) == 2 and all(type(end) is int for end in pair)
        ):
            raise ValueError("it does not say where its parts are")
    return {shard_id: range(*pair) for shard_id, pair in groups.items()}


def described(parts: Sequence[Part]) -> dict[bytes, bytes]:
    """The metadata of a compacted file with these parts, each in a row group of its own."""
    where = {part.shard_id: (number, number + 1) for number, part in enumerate(parts)}
    notes = b"[" + b",".join(map(encoded, parts)) + b"]"
    return {NOTES_KEY: notes, GROUPS_KEY: json.dumps(where).encode()}


def once(parts: Iterable[Part]) -> Iterator[Part]:
    """Each part once, in the order of their names.

    While files are replaced by a compacted one, a part lies in two. The file with the most parts counts.
    """
    parts = tuple(parts)
    held = Counter(part.file for part in parts)
    if not any(map(is_compacted, held)):
        return iter(sorted(parts, key=lambda part: part.file))
    found: dict[str, Part] = {}
    for part in sorted(parts, key=lambda one: (-held[one.file], one.file)):
        found.setdefault(part.name, part)
    return iter(sorted(found.values(), key=lambda part: part.name))

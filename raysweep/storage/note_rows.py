"""Notes of parts as the rows of a table, which tens of thousands of notes are read from in a moment.

Many parts share questions, graders, gold answers and prompts. So each of these mappings is stored once, as
JSON in a dictionary, and parts that are read from a table share them. They must not be changed.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import pyarrow as pa

from raysweep.storage.part import EXPECTED, Part


class Noted(NamedTuple):
    """A file with its size in bytes, when it was written in nanoseconds, and the parts in it."""

    file: str
    size: int
    modified: int
    parts: tuple[Part, ...]


# Strings that differ from part to part.
UNSHARED = {"shard_id", "file"}
# Rows that are read at a time, to hold few values besides the parts.
BATCH = 10_000
SHARED = pa.dictionary(pa.int32(), pa.string())
NUMBERS = {int: pa.int64(), float: pa.float64()}
NAMES = tuple(field.name for field in fields(Part))


def _type(name: str) -> pa.DataType:
    expected = EXPECTED.get(name, str)
    if expected in NUMBERS:
        return NUMBERS[expected]
    return pa.string() if name in UNSHARED else SHARED


# A row per part: the fields of Part, then the size of its file and when that was written.
ROWS = pa.schema(
    [
        *((name, _type(name)) for name in NAMES),
        *dict.fromkeys(("size", "modified"), pa.int64()).items(),
    ]
)


def rows_of(found: Iterable[Noted]) -> pa.Table:
    """The rows of the parts in these files."""
    found = list(found)
    parts = [part for one in found for part in one.parts]
    columns: dict[str, pa.Array] = {name: _column(name, parts) for name in NAMES}
    of_file = [(one.size, one.modified) for one in found for _ in one.parts]
    for place, name in enumerate(("size", "modified")):
        columns[name] = pa.array([values[place] for values in of_file], pa.int64())
    return pa.table(columns, schema=ROWS)


def _column(name: str, parts: Iterable[Part]) -> pa.Array:
    values: Iterable[Any] = (getattr(part, name) for part in parts)
    if EXPECTED.get(name) is dict:
        values = map(_text, values)
    kind = _type(name)
    if kind == SHARED:
        return pa.array(list(values), pa.string()).dictionary_encode()
    return pa.array(list(values), kind)


def _text(mapping: Mapping[str, str]) -> str:
    return json.dumps(mapping, separators=(",", ":"))


def together(tables: Iterable[pa.Table]) -> pa.Table:
    """The rows of several tables in one chunk. A single table that has one chunk is given back as it is."""
    filled = [table for table in tables if table.num_rows]
    if len(filled) == 1 and all(column.num_chunks == 1 for column in filled[0].columns):
        return filled[0]
    return pa.concat_tables([ROWS.empty_table(), *filled]).unify_dictionaries().combine_chunks()


def parts_of(rows: pa.Table) -> list[Part]:
    """The parts of these rows. Equal mappings are one object."""
    rows = together([rows])
    shared = {name: _shared(name, rows[name]) for name in NAMES if _type(name) == SHARED}
    parts: list[Part] = []
    for start in range(0, rows.num_rows, BATCH):
        some = rows.slice(start, BATCH)
        parts += map(Part, *(_values(some[name], shared.get(name)) for name in NAMES))
    return parts


def _shared(name: str, column: pa.ChunkedArray) -> list[Any]:
    """The different values of a column."""
    values = column.chunk(0).dictionary.to_pylist() if len(column) else []
    return list(map(json.loads, values)) if EXPECTED.get(name) is dict else values


def _values(column: pa.ChunkedArray, shared: list[Any] | None) -> list[Any]:
    if shared is None:
        return column.to_pylist()
    return [shared[place] for place in column.chunk(0).indices.to_pylist()]

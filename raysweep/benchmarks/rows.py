"""Rows of JSONL, JSON, CSV and Parquet files. Each row knows its place for error messages.

In JSONL the number of a row is the number of its line. In other files rows are counted from 1, and a CSV
header does not count.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.benchmarks.sources import File
from raysweep.errors import ConfigError, shown
from raysweep.system.json_text import parsed_json
from raysweep.system.safe_text import is_whole

# The longest CSV field. Python's own limit is too low for some benchmarks.
MOST_CHARACTERS = 2**31 - 1

EMPTY_LINE = object()

Numbered = Iterator[tuple[int, Any]]


@dataclass(frozen=True)
class Row:
    """One row of a file: its `values` by column, and its `place` as messages name it."""

    place: str
    values: Mapping[str, Any]

    def text(self, column: str) -> str:
        """The value of a column, which must be a text or a number and must not be empty."""
        if column not in self.values:
            columns = ", ".join(map(str, self.values)) or "none"
            raise self.error(column, f"missing; name one of the row's columns: {columns}")
        value = self.values[column]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise self.error(column, f"{shown(value)} is neither a text nor a number; write one")
        if not value.strip():
            raise self.error(column, "empty; fill it in, or remove the row")
        if not is_whole(value):
            raise self.error(column, f"{shown(value)} contains an unpaired surrogate; correct it")
        return value

    def error(self, column: str, reason: str) -> ConfigError:
        return ConfigError(f"{self.place}, column {column!r}: {reason}")


def read_rows(files: Iterable[File]) -> Iterator[Row]:
    """All rows of all files, in order. Raises ConfigError if one cannot be read."""
    for file in files:
        reader = READERS.get(file.path.suffix.lower())
        if reader is None:
            known = ", ".join(READERS)
            raise ConfigError(f"{file.origin}: is not a {known} file; convert it to one of these")
        number, found = 0, False
        try:
            for number, values in reader(file.path):
                if values is not EMPTY_LINE:
                    found = True
                    yield _row(f"{file.origin}, row {number}", values)
        except ConfigError:
            raise
        except (OSError, ValueError, csv.Error) as error:  # Arrow's and JSON's are ValueErrors
            raise ConfigError(
                f"{file.origin}, row {number + 1}: cannot be read ({error}); correct the file"
            ) from error
        if not found:
            raise ConfigError(f"{file.origin}: has no rows; fetch the file again")


def _check_names(names: Sequence[str]) -> None:
    """Raise ValueError where two columns have one name: the values of one of them would be lost."""
    places: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        if (first := places.setdefault(name, place)) != place:
            raise ValueError(
                f"columns {first} and {place} are both named {shown(name)}: rename one"
            )


def _check_header(names: Sequence[str]) -> None:
    """Raise ValueError unless each column of a CSV file has a name of its own."""
    for place, name in enumerate(names, start=1):
        if not name.strip():
            raise ValueError(f"column {place} has no name: name it, or remove the column")
    _check_names(names)


def _parsed(text: str) -> Any:
    return parsed_json(text, object_pairs_hook=_mapping)


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, whose keys must differ."""
    _check_names([key for key, _ in pairs])
    return dict(pairs)


def _row(place: str, values: Any) -> Row:
    if not isinstance(values, dict):
        raise ConfigError(
            f"{place}: {shown(values)} is not a mapping of columns to values; write one"
        )
    return Row(place, values)


def identified(rows: Iterable[Row], column: str | None) -> Iterator[tuple[str, Row]]:
    """Each row with its id: the value of `column`, which must be unique, or the row's number."""
    places: dict[str, str] = {}
    for index, row in enumerate(rows):
        identifier = f"row-{index + 1}" if column is None else row.text(column)
        earlier = places.setdefault(identifier, row.place)
        if column is not None and earlier != row.place:
            reason = f"{shown(identifier)} is also the id of {earlier}; make the ids differ"
            raise row.error(column, reason)
        yield identifier, row


def _json_lines(path: Path) -> Numbered:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            yield number, _parsed(line) if line.strip() else EMPTY_LINE


def _json(path: Path) -> Numbered:
    content = _parsed(path.read_text(encoding="utf-8-sig"))
    if not isinstance(content, list):
        raise ValueError("it is not a JSON array")
    return enumerate(content, start=1)


def _csv(path: Path) -> Numbered:
    csv.field_size_limit(MOST_CHARACTERS)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        _check_header(reader.fieldnames or ())
        for number, values in enumerate(reader, start=1):
            if None in values:
                raise ValueError("it has more fields than the header has columns")
            yield number, {key: value for key, value in values.items() if value is not None}


def _parquet(path: Path) -> Numbered:
    import pyarrow.parquet as pq  # imported here because it is slow and rarely needed

    _check_names(pq.read_schema(path).names)
    return enumerate(pq.read_table(path).to_pylist(), start=1)


READERS: dict[str, Callable[[Path], Numbered]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}

"""What is wrong in a run's folder, as the stage verify tells it."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from raysweep.storage.part import Part
from raysweep.storage.part_file import is_compacted


@dataclass(frozen=True)
class Problem:
    """Something wrong with the file `name`.

    mended    whether setting the file aside mends it, because it is then made again
    shard_id  the part of the file that is wrong; "" where the file is, or any of its parts
    """

    name: str
    text: str
    mended: bool = True
    shard_id: str = ""


def problem_of(part: Part, text: str) -> Problem:
    """A problem of one part, which its file need not share."""
    name = part.file or part.name
    where = f"{part.shard_id}: " if is_compacted(name) else ""
    return Problem(name, where + text, shard_id=part.shard_id)


def schema_problem(
    found: pa.Schema, expected: pa.Schema, optional: Iterable[str] = ()
) -> str | None:
    if missing := set(expected.names) - set(found.names) - set(optional):
        return f"it lacks {', '.join(sorted(missing))}"
    for field in found:
        wanted = expected.field(field.name).type if field.name in expected.names else None
        # A part that is older than a column may have it with nulls of any type.
        if field.type != wanted and not pa.types.is_null(field.type):
            expected_type = wanted or "a column of the schema"
            return f"its column {field.name!r} is {field.type}, not {expected_type}"
    return None

"""Small parts of one engine that are compacted, and whether all are still there."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from support.parts import ENGINE, PART, files

from raysweep.storage import compaction
from raysweep.storage.part import Part
from raysweep.storage.part_file import place_of
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store

BENCHMARKS = {"stream": "sums"}
FOLDER = f"samples/engine={ENGINE}"
PARTS = 5


def a_part(number: int, **changes: object) -> Part:
    """A part with two samples of one question."""
    named = {f"sums-{number}": f"hash-{number}"}
    whole = replace(PART, shard_id=f"s{number}", questions=named, sample_start=0, sample_count=2)
    return replace(whole, **changes)


def samples(part: Part) -> pa.Table:
    rows = [
        {
            "engine_id": part.engine_id,
            "benchmark": "sums",
            "question_id": question_id,
            "sample_index": index,
            "token_ids": list(range(index + 3)),
            "answers": [{"token_budget": 8, "text": question_id, "outcome": "wrong"}],
            "wall_s": float("nan"),
        }
        for question_id, index in part.cells
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def filled(store: Store, parts: Sequence[Part]) -> None:
    for part in parts:
        store.write_part(part, samples(part))


def names(store: Store) -> list[str]:
    return files(Path(store.root))


def check_whole(store: Store, count: int = PARTS) -> None:
    """Each part is there once, and its samples are those that were written."""
    parts = list(store.parts())
    assert parts == [a_part(number) for number in range(count)]
    for part in parts:
        whole, table = store.read_whole_part(place_of(part))
        assert whole == part
        assert compaction.same(table, samples(part))

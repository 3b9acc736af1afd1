"""A small part of samples, parts of shards, and what tests of the store ask about files."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from raysweep.shard import Shard
from raysweep.storage.part import Part
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store

ENGINE = "toy.bf16.full"


PART = Part(ENGINE, "aa", "stream", {"sums-0": "hash-0", "sums-1": "hash-1"}, 2, 3)


def rows(*sample_indices: int) -> pa.Table:
    found = [{"question_id": "sums-0", "sample_index": index} for index in sample_indices]
    return pa.Table.from_pylist(found, schema=SAMPLES)


def parts_of(shards: Iterable[Shard]) -> list[Part]:
    """The finished parts of these shards."""
    return [
        Part(
            shard.engine.engine_id,
            shard.shard_id,
            shard.stream_id,
            {question.question_id: question.asked for question in shard.questions},
            shard.sample_start,
            shard.sample_count,
        )
        for shard in shards
    ]


def read_file(store: Store, name: str) -> tuple[Part, pa.Table]:
    """The one part of a shard file, with every byte checked."""
    whole = store.read_whole_file(name)
    (part,) = whole.parts
    return part, whole.table(part)


def written(out: Path) -> dict[str, Part]:
    """The parts of all runs below a folder, by name, in whichever files they lie."""
    folders = [found.parent for found in out.rglob("samples") if found.is_dir()]
    return {part.name: part for folder in folders for part in Store(str(folder)).parts()}


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())

"""Moves the parts of several files into one, so that an engine's benchmark is a few files and not thousands.

The one idea: the new file is published and read back, and each part in it is compared with the file from
which it came. Only then are the old files removed, so no part is missing at any moment. Where the work is cut
short, a part lies in two files. It counts once (`part_file.once`), and the next compaction removes the copy.

Only the driver that holds the run's lease compacts.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.lease import LOOK_EVERY_S
from raysweep.storage.part import Part
from raysweep.storage.part_file import compacted_name, once
from raysweep.storage.schemas import SAMPLES, SCHEMA_VERSION
from raysweep.storage.store import Store

# The most bytes of samples in a compacted file. Object stores read and write files of this size at full
# speed, and two of them are in memory while one is written.
MOST_BYTES = 1 << 26
# A file of at least half as many bytes stays as it is.
FULL_BYTES = MOST_BYTES // 2


@dataclass(frozen=True)
class Held:
    """A file of an engine.

    size     bytes of its samples
    current  whether it has the columns that raysweep writes today
    """

    name: str
    parts: tuple[Part, ...]
    size: int
    current: bool


@dataclass(frozen=True)
class Compacted:
    """What compaction did.

    files    files that were replaced or removed as copies
    into     files into which the parts of the replaced ones were moved
    """

    files: int = 0
    into: int = 0

    def __add__(self, other: "Compacted") -> "Compacted":
        return Compacted(self.files + other.files, self.into + other.into)


def compact_engine(
    store: Store,
    engine_id: str,
    benchmarks: Mapping[str, str],
    fewest: int = 2,
    goes_on: Callable[[], bool] = lambda: True,
) -> Compacted:
    """Move an engine's parts into as few files as MOST_BYTES allow, and remove copies.

    benchmarks  the benchmark of each stream, by the stream's id; parts of other streams stay where they are
    fewest      files that are worth a new one
    goes_on     asked before each new file

    Raises DamagedPartError for a file that cannot be read; all files stay then.
    """
    held = [_described(store, name) for name in store.part_names(f"samples/engine={engine_id}")]
    count = {part.file for part in once(part for file in held for part in file.parts)}
    left, copies = ([file for file in held if (file.name in count) is own] for own in (True, False))
    done = _remove_copies(store, copies, left) if copies and goes_on() else Compacted()
    for benchmark, files in _by_benchmark(left, benchmarks).items():
        for some in bins(files):
            if len(some) >= fewest and goes_on():
                done += _merge(store, engine_id, benchmark, some)
    return done


def _described(store: Store, name: str) -> Held:
    parts, metadata = store.read_footer(name)
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    size = sum(
        group.column(place).total_compressed_size
        for group in groups
        for place in range(group.num_columns)
    )
    schema = metadata.schema.to_arrow_schema()
    current = schema.equals(SAMPLES) and all(part.version == SCHEMA_VERSION for part in parts)
    return Held(name, parts, size, current)


def _by_benchmark(held: Sequence[Held], benchmarks: Mapping[str, str]) -> dict[str, list[Held]]:
    """The files that may be merged, by benchmark."""
    found: dict[str, list[Held]] = defaultdict(list)
    for file in held:
        whose = {benchmarks.get(part.stream_id) for part in file.parts}
        (benchmark,) = whose if len(whose) == 1 else (None,)
        if benchmark and file.current:
            found[benchmark].append(file)
    return found


def bins(files: Sequence[Held]) -> Iterator[list[Held]]:
    """Groups of files whose samples fit into one. Files of FULL_BYTES and more are in none."""
    some: list[Held] = []
    for file in files:
        if file.size >= FULL_BYTES:
            continue
        if some and sum(one.size for one in some) + file.size > MOST_BYTES:
            yield some
            some = []
        some.append(file)
    if some:
        yield some


def _merge(store: Store, engine_id: str, benchmark: str, files: Sequence[Held]) -> Compacted:
    """Publish a file with the parts of some files, check it, and remove these files."""
    parts = list(once(part for file in files for part in file.parts))
    name = compacted_name(engine_id, benchmark, [part.shard_id for part in parts])
    parts.sort(key=lambda part: part.file)
    store.write_parts(name, parts, _tables(store, parts))
    try:
        _check(store, name, parts)
    except DamagedPartError:
        store.folder.remove(name)
        raise
    for file in files:
        store.fence(LOOK_EVERY_S)
        store.folder.remove(file.name)
    return Compacted(len(files), 1)


def _tables(store: Store, parts: Sequence[Part]) -> Iterator[pa.Table]:
    """The samples of each part. Parts of the same file come one after the other, so it is read once."""
    for file, some in itertools.groupby(parts, key=lambda part: part.file):
        yield from map(store.read_whole_file(file).table, some)


def _check(store: Store, name: str, parts: Sequence[Part]) -> None:
    """Raise DamagedPartError unless a new file has the parts of the old ones as they are now."""
    new = store.read_whole_file(name)
    if list(new.parts) != list(parts):
        raise DamagedPartError(name, store.path(name), "it describes other parts")
    for file, some in itertools.groupby(parts, key=lambda part: part.file):
        old = store.read_whole_file(file)
        for part in some:
            if part not in old.parts or not same(old.table(part), new.table(part)):
                raise DamagedPartError(name, store.path(name), f"it differs from {file}")


def same(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables have the same columns, rows and bits."""
    return one.schema.equals(other.schema) and all(
        _bits(one[name]).equals(_bits(other[name])) for name in one.column_names
    )


def _bits(column: pa.ChunkedArray) -> pa.Array:
    """A column without chunks. Numbers that are no numbers are equal if their bits are."""
    array = column.combine_chunks()
    return array.view(pa.int64()) if pa.types.is_float64(array.type) else array


def _remove_copies(store: Store, copies: Sequence[Held], others: Sequence[Held]) -> Compacted:
    """Remove files all of whose parts lie in other files, once these have been read."""
    wanted = {part.shard_id: part for file in copies for part in file.parts}
    for file in others:
        own = [part for part in file.parts if part.shard_id in wanted]
        if own:
            whole = store.read_whole_file(file.name)
            for part in own:
                _check_cells(store, part, whole.table(part))
    for file in copies:
        store.fence(LOOK_EVERY_S)
        store.folder.remove(file.name)
    return Compacted(len(copies), 0)


def _check_cells(store: Store, part: Part, table: pa.Table) -> None:
    rows = zip(table["question_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True)
    if sorted(rows, key=str) != sorted(part.cells, key=str):
        raise DamagedPartError(part.file, store.path(part.file), f"it lacks samples of {part.name}")

"""Parts moved into fewer files: each is as it was, none is missing or counted twice, whatever happens."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from support.compacted_parts import (
    BENCHMARKS,
    FOLDER,
    PARTS,
    a_part,
    check_whole,
    filled,
    names,
    samples,
)
from support.parts import ENGINE

from raysweep.errors import ConfigError
from raysweep.storage import compaction
from raysweep.storage.compaction import Held, bins, compact_engine
from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.part import Part
from raysweep.storage.part_file import is_compacted, place_of
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    filled(store, list(map(a_part, range(PARTS))))
    return store


def test_parts_of_a_benchmark_are_moved_into_one_file_as_they_are(store: Store):
    other = a_part(PARTS, stream_id="other", shard_id="s-other")
    filled(store, [other])
    notes = list(store.parts())
    done = compact_engine(store, ENGINE, BENCHMARKS)
    assert (done.files, done.into) == (PARTS, 1)
    compacted, left = names(store)
    assert compacted.startswith("parts-sums-") and left == "shard-s-other.parquet"
    assert list(store.parts()) == notes
    for part in notes:
        assert compaction.same(store.read_whole_part(place_of(part))[1], samples(part))
    assert {part.file for part in store.parts() if part != other} == {f"{FOLDER}/{compacted}"}


def test_a_part_is_read_without_the_others(store: Store):
    compact_engine(store, ENGINE, BENCHMARKS)
    (name,) = names(store)
    footer = store.read_footer(f"{FOLDER}/{name}")[1]
    assert footer.num_row_groups == PARTS
    part = list(store.parts())[3]
    read = store.read_part(place_of(part), ["question_id"])
    assert read["question_id"].to_pylist() == ["sums-3", "sums-3"]


def test_a_plain_reader_reads_each_sample_once(store: Store):
    before = ds.dataset(store.path("samples"), partitioning="hive").to_table()
    compact_engine(store, ENGINE, BENCHMARKS)
    filled(store, [a_part(PARTS)])
    after = ds.dataset(store.path("samples"), partitioning="hive").to_table()
    assert after.num_rows == before.num_rows + 2
    cells = zip(after["question_id"].to_pylist(), after["sample_index"].to_pylist(), strict=True)
    assert set(Counter(cells).values()) == {1}
    assert after.schema.names == [*SAMPLES.names, "engine"]


def test_what_comes_later_is_merged_and_full_files_stay(store: Store, monkeypatch):
    compact_engine(store, ENGINE, BENCHMARKS)
    filled(store, [a_part(PARTS)])
    assert compact_engine(store, ENGINE, BENCHMARKS).into == 1
    check_whole(store, PARTS + 1)
    assert len(names(store)) == 1
    monkeypatch.setattr(compaction, "FULL_BYTES", 1)
    filled(store, [a_part(PARTS + 1), a_part(PARTS + 2)])
    before = names(store)
    assert compact_engine(store, ENGINE, BENCHMARKS).files == 0
    assert names(store) == before


def test_compacting_again_changes_nothing(store: Store):
    compact_engine(store, ENGINE, BENCHMARKS)
    (path,) = Path(store.root).rglob("*.parquet")
    before = path.stat()
    assert compact_engine(store, ENGINE, BENCHMARKS).files == 0
    assert path.stat() == before


def test_fewer_files_than_are_worth_it_stay(store: Store):
    assert compact_engine(store, ENGINE, BENCHMARKS, fewest=PARTS + 1).files == 0
    assert len(names(store)) == PARTS


def test_files_are_filled_up_to_a_limit_and_full_ones_are_left_out():
    full, half = compaction.MOST_BYTES, compaction.FULL_BYTES
    sizes = [half - 1, half - 1, half, 3, half - 2, full + 1, 7]
    held = [Held(f"{place}", (), size, True) for place, size in enumerate(sizes)]
    found = [[file.size for file in some] for some in bins(held)]
    assert found == [[half - 1, half - 1], [3, half - 2, 7]]
    assert all(sum(some) <= full for some in found)


def test_parts_without_todays_columns_stay_where_they_are(store: Store):
    older = a_part(PARTS)
    store.write_part(older, samples(older).drop_columns(["reproducible"]))
    compact_engine(store, ENGINE, BENCHMARKS)
    assert [part.file for part in store.parts() if part.shard_id == older.shard_id] == [older.name]


def test_a_new_file_that_is_not_as_it_should_be_is_removed_and_the_old_ones_stay(
    store: Store, monkeypatch
):
    def spoilt(store: Store, parts: Sequence[Part]):
        for part in parts:
            yield samples(part).set_column(4, SAMPLES.field("seed"), pa.array([7, 7]))

    before = names(store)
    monkeypatch.setattr(compaction, "_tables", spoilt)
    with pytest.raises(DamagedPartError, match="it differs from"):
        compact_engine(store, ENGINE, BENCHMARKS)
    assert names(store) == before
    check_whole(store)


def test_a_damaged_part_leaves_every_file_as_it_is(store: Store):
    damaged = Path(store.path(a_part(2).name))
    data = bytearray(damaged.read_bytes())
    data[len(data) // 3] ^= 1
    damaged.write_bytes(data)
    before = names(store)
    with pytest.raises(ConfigError, match="shard-s2"):
        compact_engine(store, ENGINE, BENCHMARKS)
    assert names(store) == before


def test_a_copy_that_was_left_behind_counts_once_and_is_removed(store: Store):
    compact_engine(store, ENGINE, BENCHMARKS)
    filled(store, [a_part(1), a_part(PARTS)])
    check_whole(store, PARTS + 1)
    assert is_compacted(list(store.parts())[1].file)
    compact_engine(store, ENGINE, BENCHMARKS)
    check_whole(store, PARTS + 1)
    assert len(names(store)) == 1


def test_a_copy_stays_while_the_file_that_counts_cannot_be_read(store: Store):
    compact_engine(store, ENGINE, BENCHMARKS)
    (path,) = Path(store.root).rglob("*.parquet")
    filled(store, [a_part(1)])
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedPartError):
        compact_engine(store, ENGINE, BENCHMARKS)
    assert Path(store.path(a_part(1).name)).exists()


def test_two_compacted_files_with_common_parts_become_one(store: Store):
    """Two drivers, one of which has lost its lease, may have compacted at the same time."""
    parts = [a_part(number) for number in range(PARTS)]
    compact_engine(store, ENGINE, BENCHMARKS)
    filled(store, [parts[0], parts[1], a_part(PARTS)])
    name = f"{FOLDER}/parts-sums-another.parquet"
    some = [parts[0], parts[1], a_part(PARTS)]
    store.write_parts(name, some, map(samples, some))
    check_whole(store, PARTS + 1)
    compact_engine(store, ENGINE, BENCHMARKS)
    check_whole(store, PARTS + 1)
    assert len(names(store)) == 1


def test_a_part_is_found_where_it_was_moved(store: Store):
    parts = list(store.parts())
    compact_engine(store, ENGINE, BENCHMARKS)
    filled(store, [a_part(PARTS)])
    compact_engine(store, ENGINE, BENCHMARKS)  # moves those of the first compacted file too
    assert store.read_samples(map(place_of, parts), ["seed"]).num_rows == 2 * PARTS
    for part in parts:
        assert store.read_part(place_of(part), ["sample_index"]).num_rows == 2
        assert store.read_whole_part(place_of(part))[0] == part
    with pytest.raises(ConfigError, match="is missing, and no other file has its samples"):
        store.read_part(place_of(a_part(99)), ["seed"])

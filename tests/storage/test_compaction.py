"""Parts moved into fewer files: each is as it was, none is missing or counted twice, whatever happens."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from support.parts import ENGINE, PART, files

from raysweep.errors import ConfigError
from raysweep.storage import compaction
from raysweep.storage.compaction import Held, bins, compact_engine
from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.part import Part
from raysweep.storage.part_file import is_compacted, place_of
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


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    filled(store, list(map(a_part, range(PARTS))))
    return store


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


KILLED = """
import os, signal, sys
from raysweep.storage import files
from raysweep.storage.compaction import compact_engine
from raysweep.storage.store import Store

root, step, engine, seen = sys.argv[1], int(sys.argv[2]), sys.argv[3], 0

def counted():
    global seen
    seen += 1
    if seen == step:
        os.kill(os.getpid(), signal.SIGKILL)

replace, remove = os.replace, files.Folder.remove

def published(*names):
    counted()
    replace(*names)
    counted()

def removed(folder, name):
    counted()
    remove(folder, name)
    counted()

os.replace, files.Folder.remove = published, removed
compact_engine(Store(root), engine, {"stream": "sums"})
"""


def compact_until(root: str, step: int) -> int:
    """Compact in a process that kills itself before or after its n-th publishing or removing."""
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, root, str(step), ENGINE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))},
        check=False,
    )
    return ran.returncode


@pytest.mark.slow
def test_killed_at_any_step_nothing_is_lost_or_doubled_and_a_later_look_tidies_up(tmp_path: Path):
    step, ended = 0, -signal.SIGKILL
    while ended == -signal.SIGKILL:
        step += 1
        store = Store(str(tmp_path / str(step)))
        filled(store, list(map(a_part, range(PARTS))))
        ended = compact_until(store.root, step)
        check_whole(store)
        compact_engine(store, ENGINE, BENCHMARKS)
        check_whole(store)
        assert len([name for name in names(store) if name.endswith(".parquet")]) == 1
    assert ended == 0
    assert step == 2 * (1 + PARTS) + 1  # each of the steps was killed before and after


@pytest.mark.slow
def test_a_reader_beside_compaction_always_sees_each_part_once(tmp_path: Path):
    store = Store(str(tmp_path))
    made, wanted = 0, 40
    script = (
        "import sys, time\n"
        "from raysweep.storage.compaction import compact_engine\n"
        "from raysweep.storage.store import Store\n"
        "while True: compact_engine(Store(sys.argv[1]), sys.argv[2], {'stream': 'sums'})\n"
    )
    compacting = subprocess.Popen(
        [sys.executable, "-c", script, store.root, ENGINE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))},
        stderr=subprocess.PIPE,
    )
    try:
        for made in range(wanted):
            filled(store, [a_part(made)])
            found = {part.shard_id: place_of(part) for part in Store(store.root).parts()}
            assert sorted(found) == sorted(f"s{number}" for number in range(made + 1))
            for place in found.values():
                assert store.read_part(place, ["sample_index"]).num_rows == 2
        assert compacting.poll() is None, compacting.stderr and compacting.stderr.read()
    finally:
        compacting.kill()
        compacting.communicate()
    assert any(is_compacted(part.file) for part in store.parts())

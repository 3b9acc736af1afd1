"""Partitions are reduced alike here and on Ray; parts that cannot be read are set aside, and named."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray
from support.hand_made_runs import (
    LONG,
    MIXED,
    generate,
    reduce_run,
    rows_at,
    sweep_of,
    to_do,
    write_part,
)
from support.nouns import a_cluster

from raysweep.driver import reduce_tasks
from raysweep.driver.ray_session import ray_session
from raysweep.errors import ConfigError
from raysweep.reducing.answer_counts import COLUMNS
from raysweep.reducing.partitions import count_here
from raysweep.stages.folder_view import FolderView
from raysweep.stages.reduce import partitions
from raysweep.storage import part_reading
from raysweep.storage.damaged import aside_name
from raysweep.storage.store import VERSION_KEY, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def parts_of(store: Store) -> list[Path]:
    return sorted(Path(store.root).rglob("shard-*.parquet"))


def overwrite_pages(path: Path) -> None:
    """Damage the data, and leave the metadata at the file's end as it was."""
    whole = path.read_bytes()
    metadata_bytes = int.from_bytes(whole[-8:-4], "little")
    end = len(whole) - 8 - metadata_bytes
    path.write_bytes(b"PAR1" + b"\xff" * (end - 4) + whole[end:])


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same_results_as_this_process(store: Store):
    generate(sweep_of(), store, MIXED, lost=1)
    here = reduce_run(sweep_of(), store)
    with ray_session(a_cluster()):
        assert ray.is_initialized()
        there = reduce_run(sweep_of(), store)
    assert there.summary == here.summary
    for name, table in here.tables.items():
        assert there.tables[name].equals(table), name


def test_only_the_columns_that_are_counted_are_read(store: Store, monkeypatch):
    generate(sweep_of(), store, MIXED)
    read = []

    def noting(self, *arguments, **named):
        table = whole(self, *arguments, **named)
        read.append((set(named["columns"]), table.column_names))
        return table

    whole = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", noting)
    reduce_run(sweep_of(), store)
    assert len(read) == 4
    for asked, got in read:
        assert asked == set(COLUMNS)
        assert not {"token_ids", "wall_s"} & set(got)


def test_a_part_whose_data_are_damaged_is_set_aside_and_its_shard_is_to_be_run_again(store: Store):
    generate(sweep_of(), store, MIXED)
    damaged = parts_of(store)[0]
    overwrite_pages(damaged)
    reduction = reduce_run(sweep_of(), store)
    assert reduction.summary["parts_set_aside"] == [aside_name(str(damaged))]
    assert Path(aside_name(str(damaged))).exists() and not damaged.exists()
    assert (reduction.summary["shards"], reduction.summary["shards_missing"]) == (4, 1)
    assert reduction.summary["samples"] == 6
    assert not any(row["complete"] for row in rows_at(reduction, LONG).values())
    (again,) = to_do(sweep_of(), store)
    write_part(store, again, MIXED)
    whole = reduce_run(sweep_of(), store)
    assert whole.summary["parts_set_aside"] == []
    assert rows_at(whole, LONG)[4]["complete"]


def test_the_plan_counts_a_part_that_was_set_aside_while_reducing_as_missing(store: Store):
    generate(sweep_of(), store, MIXED)
    overwrite_pages(parts_of(store)[0])
    reduce_run(sweep_of(), store)
    planned = store.read_table("plan.parquet").to_pylist()
    assert {row["shard_id"] for row in planned} >= {
        one.shard_id for one in to_do(sweep_of(), store)
    }


def set_aside_in(store: Store) -> list[str]:
    """The new paths of the damaged parts that a look at the folder finds."""
    told: list[str] = []
    FolderView(sweep_of(), store, told.append).look()
    return told


def test_a_part_whose_end_is_missing_is_set_aside_with_its_name(store: Store):
    generate(sweep_of(), store, MIXED)
    damaged = parts_of(store)[0]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert set_aside_in(store) == [aside_name(str(damaged))]
    assert set_aside_in(store) == []
    assert len(to_do(sweep_of(), store)) == 1


def test_a_part_whose_metadata_are_damaged_is_set_aside_too(store: Store):
    generate(sweep_of(), store, MIXED)
    damaged = parts_of(store)[0]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-400] + b"\xff" * 300 + whole[-100:])
    assert set_aside_in(store) == [aside_name(str(damaged))]


def test_a_part_of_another_schema_version_is_refused_and_left_alone(store: Store):
    generate(sweep_of(), store, MIXED)
    other = parts_of(store)[0]
    table = pq.read_table(other)
    metadata = {**(pq.read_metadata(other).metadata or {}), VERSION_KEY: b"0"}
    pq.write_table(table.replace_schema_metadata(metadata), other)
    with pytest.raises(ConfigError, match=r"has schema version 0, but this raysweep reads only 1"):
        reduce_run(sweep_of(), store)
    with pytest.raises(ConfigError, match="schema version 0"):
        FolderView(sweep_of(), store).look()
    assert other.exists()


def test_a_part_without_a_column_that_is_counted_is_damaged(store: Store):
    generate(sweep_of(), store, MIXED)
    short = parts_of(store)[0]
    table = pq.read_table(short)
    metadata = pq.read_metadata(short).metadata
    pq.write_table(table.drop_columns(["answers"]).replace_schema_metadata(metadata), short)
    assert reduce_run(sweep_of(), store).summary["parts_set_aside"] == [aside_name(str(short))]


def test_a_folder_that_cannot_be_read_is_no_damaged_part(store: Store, monkeypatch):
    generate(sweep_of(), store, MIXED)

    def fail(*_: object) -> None:
        raise ConfigError("out: cannot be read")

    monkeypatch.setattr(part_reading, "damage_of", fail)
    overwrite_pages(parts_of(store)[0])
    with pytest.raises(ConfigError, match="out: cannot be read"):
        reduce_run(sweep_of(), store)
    assert len(parts_of(store)) == 4


def test_a_configured_cluster_is_used(store: Store, monkeypatch):
    generate(sweep_of(), store, MIXED)
    asked = []

    def on_ray(wanted, sweep, store, cluster):
        asked.extend(wanted)
        yield from count_here(wanted, sweep, store)

    monkeypatch.setattr(reduce_tasks, "_on_ray", on_ray)
    cluster = a_cluster(address="ray://head:10001")
    config = replace(sweep_of(), cluster=cluster)
    wanted = partitions(FolderView(config, store), {})
    assert reduce_tasks.reduce_partitions([], config.sweep, store, cluster) == []
    assert not asked
    assert len(reduce_tasks.reduce_partitions(wanted, config.sweep, store, cluster)) == 1
    assert asked == wanted

"""The run's folder: a part is whole or missing, whatever happens while it is written."""

import os
import time
import types
import uuid
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs
from support.parts import ENGINE, PART, files, rows

from raysweep.errors import ConfigError, StorageRefused
from raysweep.storage.address import below, parted
from raysweep.storage.part import part_name
from raysweep.storage.part_file import place_of, shard_place
from raysweep.storage.schemas import SAMPLES, SCHEMA_VERSION
from raysweep.storage.store import Store


def indices(store: Store, *shard_ids: str) -> list[int]:
    places = [shard_place(ENGINE, shard_id) for shard_id in shard_ids]
    return store.read_samples(places, ["sample_index"])["sample_index"].to_pylist()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "run"))


def test_parts_gives_back_what_was_written(store):
    second = replace(PART, shard_id="bb", questions={"sums-2": "hash-2"}, sample_start=0)
    store.write_part(second, rows(0))
    store.write_part(PART, rows(2, 3, 4))
    assert list(store.parts()) == [PART, second]
    assert indices(store, "aa") == [2, 3, 4]


def test_a_folder_that_is_not_there_has_no_parts(store):
    assert list(store.parts()) == []
    assert not store.exists("config.yaml")


def test_a_part_that_is_written_again_replaces_the_first(store):
    store.write_part(PART, rows(2, 3, 4))
    store.write_part(PART, rows(2, 3, 4))
    assert list(store.parts()) == [PART]
    assert indices(store, "aa") == [2, 3, 4]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_in_mid_write_leaves_neither_part_nor_temporary_file(store, monkeypatch, call):
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(StorageRefused, match="no space left"):
            store.write_part(PART, rows(2))
    assert files(Path(store.root)) == []
    assert list(store.parts()) == []


def test_a_failure_to_replace_leaves_the_earlier_part_whole(store, monkeypatch):
    store.write_part(PART, rows(2, 3, 4))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.write_part(PART, rows(9))
    assert indices(store, "aa") == [2, 3, 4]


def test_what_a_killed_writer_left_behind_is_no_part(store):
    store.write_part(PART, rows(2))
    whole = Path(store.path(part_name(ENGINE, "aa")))
    half = whole.read_bytes()[:100]
    (whole.parent / ".shard-bb.parquet.0123.tmp").write_bytes(half)
    (whole.parent / "shard-cc.parquet.tmp").write_bytes(half)
    assert list(store.parts()) == [PART]
    assert indices(store, "aa", "bb", "cc") == [2]


def test_leftovers_of_killed_writers_are_removed_once_nobody_can_be_at_them(store):
    store.write_part(PART, rows(2))
    folder = Path(store.path(part_name(ENGINE, "aa"))).parent
    for name, age_s in ((".shard-bb.parquet.01.tmp", 2 * 3600), (".shard-cc.parquet.02.tmp", 60)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age_s, time.time() - age_s))
    store.remove_leftovers()
    assert files(folder) == [".shard-cc.parquet.02.tmp", "shard-aa.parquet"]


def test_tables_that_killed_commands_left_unfinished_are_removed_and_no_other_file(store):
    store.write_part(PART, rows(2))
    store.write_text("report/index.html", "page")
    root, name = Path(store.root), uuid.uuid4().hex
    old = (f".scenarios.parquet.{name}.tmp", f"report/.index.html.{name}.tmp", ".mine.tmp")
    for place in (*old, f".scores.parquet.{name}.tmp"):
        (root / place).write_bytes(b"half")
    for place in old:
        os.utime(root / place, (time.time() - 7200, time.time() - 7200))
    store.remove_unfinished_results()
    kept = [".mine.tmp", f".scores.parquet.{name}.tmp", "index.html", "shard-aa.parquet"]
    assert sorted(files(root)) == kept


def test_a_part_that_was_damaged_is_named_with_the_way_out(store):
    store.write_part(PART, rows(2))
    whole = Path(store.path(part_name(ENGINE, "aa")))
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(ConfigError, match=r"shard-aa\.parquet: is not a whole part.*remove it"):
        list(store.parts())


def test_a_parquet_file_of_someone_else_is_not_taken_for_a_part(store):
    store.write_table("samples/shard-mine.parquet", rows(1))
    with pytest.raises(ConfigError, match=r"shard-mine\.parquet: is not a whole part"):
        list(store.parts())


def test_a_missing_part_adds_no_rows(store):
    store.write_part(PART, rows(2, 3))
    assert indices(store, "missing", "aa") == [2, 3]
    nothing = store.read_samples([shard_place(ENGINE, "missing")], ["sample_index", "answers"])
    assert nothing.num_rows == 0
    assert nothing.schema.types == [SAMPLES.field(n).type for n in ("sample_index", "answers")]


def test_a_part_from_before_a_column_was_thought_of_has_nulls_in_it(store):
    store.write_part(PART, rows(2).drop_columns(["reproducible"]))
    second = replace(PART, shard_id="bb", sample_start=7)
    store.write_part(second, rows(7))
    columns = ["sample_index", "reproducible"]
    read = store.read_samples([place_of(PART), place_of(second)], columns)
    assert read.schema.equals(pa.schema([SAMPLES.field(name) for name in columns]))
    assert read["sample_index"].to_pylist() == [2, 7]
    assert read["reproducible"].to_pylist() == [None, None]


def test_a_path_and_its_file_uri_are_the_same_folder(tmp_path):
    by_path, by_uri = Store(str(tmp_path / "a run")), Store((tmp_path / "a run").as_uri() + "/")
    by_uri.write_part(PART, rows(2))
    by_path.write_text("config.yaml", "seed: 0\n")
    assert list(by_path.parts()) == list(by_uri.parts()) == [PART]
    assert by_uri.read_text("config.yaml") == "seed: 0\n"
    assert indices(by_path, "aa") == indices(by_uri, "aa") == [2]
    assert by_uri.absolute == by_uri


def test_a_relative_folder_is_found_from_another_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    absolute = Store("runs/mine").absolute
    monkeypatch.chdir("/")
    absolute.write_text("note", "here")
    assert files(tmp_path / "runs" / "mine") == ["note"]


def test_an_address_that_nobody_knows_is_bad_input():
    with pytest.raises(ConfigError, match="out: 'ftp://host/runs' is not an address"):
        Store("ftp://host/runs").exists("config.yaml")


def test_a_folder_that_cannot_be_reached_is_named(tmp_path, monkeypatch):
    def fail(uri: str) -> None:
        raise OSError("AWS Error: access denied")

    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(fs, "FileSystem", types.SimpleNamespace(from_uri=fail))
    for root in (str(tmp_path / "file" / "run"), "/proc/nowhere/run", "s3://bucket/run"):
        with pytest.raises(StorageRefused, match=r"config\.yaml in the run's folder cannot be"):
            Store(root).write_text("config.yaml", "seed: 0")
    for read in (Store.exists, Store.read_text, Store.read_table):
        with pytest.raises(ConfigError, match="access denied"):
            read(Store("s3://bucket/run"), "config.yaml")
    with pytest.raises(ConfigError, match="access denied"):
        list(Store("s3://bucket/run").parts())


def test_a_damaged_table_is_named_with_the_way_out(store):
    store.write_bytes("scenarios.parquet", b"PAR1 and no more")
    with pytest.raises(ConfigError, match=r"scenarios\.parquet: is not a whole Parquet file"):
        store.read_table("scenarios.parquet")


def test_every_table_carries_the_version_of_its_schema(store):
    store.write_table("plan.parquet", rows(1))
    store.write_part(PART, rows(1))
    for name in ("plan.parquet", part_name(ENGINE, "aa")):
        metadata = pq.read_metadata(store.path(name)).metadata or {}
        assert metadata[b"raysweep.schema_version"] == str(SCHEMA_VERSION).encode()


def test_a_folder_of_parts_reads_as_one_data_set_with_other_tools(store):
    store.write_part(PART, rows(2, 3))
    store.write_part(replace(PART, shard_id="bb"), rows(4))
    assert pq.read_table(store.path("samples")).num_rows == 3


@pytest.mark.parametrize("folder", ["runs/checkpoints", "s3://bucket/runs?scheme=http", "/"])
def test_an_address_is_parted_as_it_was_put_together(folder: str):
    together = below(folder, "abc")
    place, name = parted(together)
    assert name == "abc" and below(place, name) == together

"""A run's folder in S3, on a local server: uploads are whole or missing, and survive a failing service."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.parts import ENGINE, PART, rows
from support.s3_server import S3, s3_server

from raysweep.errors import StorageError, StorageRefused
from raysweep.storage import trouble
from raysweep.storage.compaction import compact_engine
from raysweep.storage.damaged import aside_name, set_aside
from raysweep.storage.lease import LeaseLost, take_lease
from raysweep.storage.part import part_name
from raysweep.storage.part_file import is_compacted, place_of, shard_place
from raysweep.storage.store import Store


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3_server() as s3:
        yield s3


@pytest.fixture
def s3(server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    server.failing = server.denying = lambda method, path: False
    server.asked.clear()
    monkeypatch.setattr(trouble, "FIRST_WAIT_S", 0.01)
    return server


@pytest.fixture
def store(s3: S3, request: pytest.FixtureRequest) -> Store:
    return Store(s3.address(f"runs/{request.node.name}"))


def test_parts_and_texts_in_s3_are_given_back_as_they_were_written(store):
    assert list(store.parts()) == []
    assert not store.exists("config.yaml") and store.size("config.yaml") is None
    second = replace(PART, shard_id="bb")
    store.write_part(second, rows(0))
    store.write_part(PART, rows(2, 3, 4))
    store.write_text("config.yaml", "seed: 0\n")
    assert list(store.parts()) == [PART, second]
    assert store.read_text("config.yaml") == "seed: 0\n"
    read = store.read_part(place_of(PART), ["sample_index"])
    assert read["sample_index"].to_pylist() == [2, 3, 4]


def test_parts_in_s3_are_moved_into_one_object_and_found_there(store):
    second = replace(PART, shard_id="bb", sample_start=0)
    store.write_part(PART, rows(2, 3, 4))
    store.write_part(second, rows(0, 1))
    assert compact_engine(store, ENGINE, {"stream": "sums"}).files == 2
    assert list(store.parts()) == [PART, second]
    assert [is_compacted(name) for name in store.part_names()] == [True]
    for part, indices in ((PART, [2, 3, 4]), (second, [0, 1])):
        read = store.read_part(shard_place(ENGINE, part.shard_id), ["sample_index"])
        assert read["sample_index"].to_pylist() == indices


def test_a_part_set_aside_in_s3_is_a_part_no_more_and_is_kept(store):
    store.write_part(PART, rows(2))
    path = store.path(set_aside(store.folder, part_name(ENGINE, "aa")))
    assert path.startswith("s3://") and "_shard-aa.parquet.damaged" in path
    assert list(store.parts()) == []
    assert store.size(aside_name(part_name(ENGINE, "aa")))


def test_an_upload_that_s3_refuses_for_a_while_is_tried_until_it_is_there(s3, store):
    s3.fail_next(8, "PUT", "POST")
    store.write_part(PART, rows(2, 3))
    assert list(store.parts()) == [PART]


def test_an_s3_that_goes_on_failing_is_a_storage_error_and_leaves_no_object(s3, store, monkeypatch):
    monkeypatch.setattr(trouble, "PATIENCE_S", 0.5)
    s3.failing = lambda method, path: method != "GET"
    with pytest.raises(StorageError, match=r"^storage: .*shard-aa\.parquet .* failed for 0\.5 s"):
        store.write_part(PART, rows(2))
    s3.failing = lambda method, path: False
    assert list(store.parts()) == []


def test_a_bucket_that_denies_access_refuses_at_once_and_is_asked_no_more(s3, store):
    s3.denying = lambda method, path: method in {"PUT", "POST"}
    with pytest.raises(StorageRefused, match=r"^storage: .*shard-aa\.parquet .* cannot be written"):
        store.write_part(PART, rows(2))
    s3.denying = lambda method, path: True
    with pytest.raises(StorageRefused, match="cannot be read"):
        store.read_text("config.yaml")


def test_an_interruption_in_mid_upload_leaves_the_object_whole_or_not_there(s3, store):
    data = os.urandom(12_000_000)  # three parts of a multipart upload
    slow = threading.Event()

    def failing(method: str, path: str) -> bool:
        if method == "PUT":
            slow.set()
            time.sleep(0.1)
        return False

    s3.failing = failing

    def interrupt() -> None:
        slow.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it comes whenever this thread runs again
        store.write_bytes("big", data)
        time.sleep(10)
    thread.join()
    assert not store.exists("big") or store.read_bytes("big") == data


def test_a_missing_bucket_is_refused_and_no_storage_that_is_waited_for(s3):
    store = Store(s3.address("x").replace("bucket", "no-such-bucket"))
    with pytest.raises(StorageRefused, match=r"config\.yaml in the run's folder .*NO_SUCH_"):
        store.write_text("config.yaml", "seed: 0")


def test_of_two_drivers_in_s3_the_newer_one_writes_and_the_older_one_stops(store):
    first = replace(store, lease=take_lease(store.folder))
    first.write_text("summary.json", "{}")
    second = replace(store, lease=take_lease(store.folder))
    with pytest.raises(LeaseLost, match=r"another driver took over the run \(epoch 2, host"):
        first.write_text("summary.json", "{}")
    second.write_part(PART, rows(2))
    assert [part.epoch for part in store.parts()] == [2]

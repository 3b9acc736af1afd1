"""Storage that fails, is slow or full, and files that are damaged: nothing is lost or silently wrong."""

import errno
import io
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.parts import ENGINE, PART, files, rows

from raysweep.errors import ConfigError, StorageError, StorageRefused
from raysweep.storage import address, trouble
from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.part import part_name
from raysweep.storage.part_file import place_of
from raysweep.storage.seal import BrokenSealError, check_whole, seal
from raysweep.storage.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "run"))


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(trouble, "LONGEST_WAIT_S", 0.01)


def failing(monkeypatch: pytest.MonkeyPatch, call: str, code: int, times: float) -> list[int]:
    """Make `os.<call>` fail `times` times. The length of the list tells how often it was called."""
    real, calls = getattr(os, call), []

    def fail(*arguments: object) -> object:
        calls.append(code)
        if len(calls) <= times:
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    monkeypatch.setattr(os, call, fail)
    return calls


# ---- trouble ----
@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET]
)
def test_a_write_that_fails_for_a_while_is_made_in_the_end(store, monkeypatch, code):
    calls = failing(monkeypatch, "replace", code, times=3)
    store.write_part(PART, rows(2, 3))
    assert len(calls) == 4
    assert list(store.parts()) == [PART]
    assert files(Path(store.root)) == ["shard-aa.parquet"]


def test_whoever_waits_for_a_full_disk_is_told_to_make_room(store, monkeypatch, caplog):
    failing(monkeypatch, "fsync", errno.ENOSPC, times=2)
    store.write_part(PART, rows(2))
    assert len(caplog.messages) == 2
    said = caplog.messages[0]
    assert "shard-aa.parquet" in said and "No space left" in said and "make room" in said


def test_a_full_disk_is_waited_for_longer_than_other_trouble():
    assert trouble.patience_s(OSError(errno.ENOSPC, "")) > trouble.patience_s(
        OSError(errno.EIO, "")
    )


def test_storage_that_goes_on_failing_is_a_storage_error_that_names_the_file(store, monkeypatch):
    monkeypatch.setattr(trouble, "PATIENCE_S", 0.05)
    failing(monkeypatch, "replace", errno.EIO, times=float("inf"))
    with pytest.raises(StorageError, match=r"config\.yaml in the run's folder failed for 0\.05 s"):
        store.write_text("config.yaml", "seed: 0")
    assert files(Path(store.root)) == []


@pytest.mark.parametrize(
    "code", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR]
)
def test_a_write_that_waiting_does_not_mend_is_refused_at_once(store, monkeypatch, code):
    calls = failing(monkeypatch, "replace", code, times=float("inf"))
    said = r"^storage: config\.yaml in the run's folder cannot be written .* the right to read and write"
    with pytest.raises(StorageRefused, match=said):
        store.write_text("config.yaml", "seed: 0")
    assert len(calls) == 1


def test_a_file_that_may_not_be_read_is_refused_and_one_that_is_damaged_is_not(store, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    store.write_text("table.parquet", "none")
    with pytest.raises(StorageRefused, match=r"table\.parquet in the run's folder cannot be read"):
        store.folder.read("table.parquet", refuse)
    with pytest.raises(ConfigError, match="is not a whole Parquet file"):
        store.read_table("table.parquet")


@pytest.mark.parametrize(
    ("said", "transient"),
    [
        (
            "When reading: AWS Error NETWORK_CONNECTION during HeadObject: curlCode: 28, Timeout",
            True,
        ),
        ("AWS Error UNKNOWN (HTTP status 503) during CompleteMultipartUpload operation", True),
        ("AWS Error SLOW_DOWN during PutObject operation: reduce your request rate", True),
        ("AWS Error UNKNOWN (HTTP status 429) during PutObject operation", True),
        ("google::cloud::Status(UNAVAILABLE: Retry policy exhausted in ReadObject)", True),
        ("AWS Error ACCESS_DENIED during PutObject operation: Access Denied", False),
        ("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation", False),
        ("AWS Error UNKNOWN (HTTP status 400) during CreateBucket operation", False),
        ("google::cloud::Status(PERMISSION_DENIED: Permanent error)", False),
        ("could not verify page integrity, CRC checksum verification failed", False),
    ],
)
def test_what_object_stores_say_is_told_apart(said: str, transient: bool):
    assert trouble.is_transient(OSError(said)) == transient


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("AWS Error ACCESS_DENIED during PutObject operation: Access Denied", True),
        ("AWS Error UNKNOWN (HTTP status 403) during CompleteMultipartUpload operation", True),
        ("google::cloud::Status(PERMISSION_DENIED: Permanent error)", True),
        ("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation", False),
        ("Couldn't deserialize thrift: TProtocolException: Invalid data", False),
    ],
)
def test_what_object_stores_say_of_rights_is_told_apart(said: str, refused: bool):
    assert trouble.is_refusal(OSError(said)) == refused


def test_waits_grow_and_none_is_like_the_other(monkeypatch):
    monkeypatch.setattr(trouble, "FIRST_WAIT_S", 0.5)
    monkeypatch.setattr(trouble, "LONGEST_WAIT_S", 30.0)
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    left = [12]

    def call() -> None:
        left[0] -= 1
        if left[0]:
            raise OSError(errno.EIO, "")

    trouble.persistently(call, "it")
    assert len(waits) == 11 and len(set(waits)) == len(waits) - sum(w == 30.0 for w in waits[:-1])
    assert 0.5 <= waits[0] <= 1.0 and waits[3] > 2 and max(waits) <= 30.5


IN_A_FULL_DISK = """
import os, threading, time
from raysweep.storage import trouble
trouble.FIRST_WAIT_S = 0.2
from raysweep.storage.store import Store
ballast = open("/mnt/ballast", "wb")
try:
    while True: ballast.write(bytes(4096)); ballast.flush()
except OSError as error: print(error.strerror)
threading.Timer(1.0, lambda: os.unlink("/mnt/ballast") or os.close(os.dup(ballast.fileno()))).start()
threading.Timer(1.0, lambda: os.ftruncate(ballast.fileno(), 0)).start()
Store("/mnt/run").write_text("samples", "x" * 50_000)
print(len(Store("/mnt/run").read_text("samples")), sorted(os.listdir("/mnt/run")))
"""


def test_samples_wait_for_room_on_a_real_disk_that_is_full(tmp_path):
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("no bubblewrap here: apt-get install bubblewrap to test on a full disk")
    command = [bwrap, "--dev-bind", "/", "/", "--size", "262144", "--tmpfs", "/mnt", sys.executable]
    done = subprocess.run(
        [*command, "-c", IN_A_FULL_DISK],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "No space left on device\n50000 ['samples']\n", done.stderr
    assert "No space left on device" in done.stderr and "make room" in done.stderr


def test_a_file_and_then_its_folder_are_synced_so_that_it_outlasts_a_power_cut(store, monkeypatch):
    """NFS and journaling file systems need this order: first the data, then the new name."""
    done: list[str] = []
    for call in ("fsync", "replace"):
        real = getattr(os, call)

        def noted(*arguments: Any, call: str = call, real: Any = real) -> Any:
            is_folder = call == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
            done.append(f"{call} folder" if is_folder else call)
            return real(*arguments)

        monkeypatch.setattr(os, call, noted)
    store.write_text("config.yaml", "seed: 0")
    assert done == ["fsync", "replace", "fsync folder"]


# ---- seals ----
def a_table() -> pa.Table:
    return pa.table({"number": list(range(200)), "text": [f"text {i}" for i in range(200)]})


def encoded(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, write_page_checksum=True)
    return sink.getvalue()


SEALED = seal(encoded(a_table()))


def test_a_sealed_file_is_parquet_for_everyone():
    assert pq.read_table(io.BytesIO(SEALED)).equals(a_table())
    assert check_whole(SEALED)


def test_a_file_without_a_seal_is_read_and_told_apart():
    assert not check_whole(encoded(a_table()))


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_no_byte_of_a_sealed_file_can_change_unseen(place: int, change: int):
    damaged = bytearray(SEALED)
    damaged[place] ^= change
    try:
        assert not check_whole(bytes(damaged))  # the mark is what was hit: nothing else is
    except BrokenSealError:
        return
    assert pq.read_table(io.BytesIO(bytes(damaged))).equals(a_table())


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_no_byte_of_a_part_can_change_and_be_read_as_something_else(tmp_path_factory, place: int):
    store = Store(str(tmp_path_factory.mktemp("run")))
    store.write_part(PART, rows(2, 3, 4))
    file = Path(store.path(part_name(ENGINE, "aa")))
    data = bytearray(file.read_bytes())
    data[place % len(data)] ^= 1 + place % 255
    file.write_bytes(bytes(data))
    try:
        assert list(store.parts()) == [PART]
        assert store.read_part(place_of(PART), ["question_id", "sample_index"]).num_rows == 3
        read = store.read_part(place_of(PART), ["sample_index"])["sample_index"].to_pylist()
        assert read == [2, 3, 4]
    except DamagedPartError:
        pass


# ---- addresses ----
def test_a_name_below_an_address_stands_before_its_query():
    s3 = "s3://bucket/runs/?endpoint_override=localhost:9000&scheme=http"
    mine = "s3://bucket/runs/mine?endpoint_override=localhost:9000&scheme=http"
    assert address.below(s3, "mine") == mine
    assert address.below("runs/", "mine") == "runs/mine"
    assert address.below("gs://bucket", "mine") == "gs://bucket/mine"
    # As an interpolation in the configuration makes it: ${out}/checkpoints
    assert address.absolute(s3.replace("runs/?", "runs?") + "/mine") == mine


@pytest.mark.parametrize(
    "uri", ["s3://", "gs://", "nonsense://x", "s3://b/x?y=z", "s3://b b/x", "s3://:@/x"]
)
def test_a_malformed_address_is_bad_input_and_no_storage_that_is_waited_for(uri: str):
    with pytest.raises(ConfigError, match=r"^out: "):
        Store(uri).exists("config.yaml")

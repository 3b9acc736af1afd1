"""What verify finds beside samples and tables, and doubled samples wherever they are."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from support.command import Command, generate_here
from support.parts import read_file

from raysweep.driver import generate
from raysweep.run_config import Verify
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE, WORK_REMAINS

REPAIR = Verify(repair=True)


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """A complete run with four parts and its tables."""
    monkeypatch.setattr(generate, "generate", generate_here)
    command = Command(tmp_path, capsys)
    assert command("plan", "generate", "reduce", "verify")[0] == DONE
    return command


@pytest.fixture
def store(run: Command) -> Store:
    return Store(str(run.out / "test"))


def test_a_part_that_the_tables_count_and_that_is_gone_is_told_and_made_again(
    run: Command, store: Store
):
    Path(store.path(store.part_names()[0])).unlink()
    status, said = run("verify")
    assert status == WORK_REMAINS
    assert "counts at least 12 samples of toy.bf16.full on sums, but the parts have only" in said
    assert run("verify", "generate", "reduce", verify=REPAIR)[0] == DONE
    assert run("verify")[0] == DONE


def test_samples_that_the_tables_do_not_count_are_not_missed(run: Command):
    assert run("verify", samples=6, group_sizes=(1,))[0] == DONE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "config.yaml: it is missing, so it is unknown how the samples were made"),
        ("identity: {}\n", "config.yaml: its identity does not say how the samples were made"),
    ],
)
def test_a_record_that_says_nothing_is_told_and_left(
    run: Command, store: Store, text: str | None, said: str
):
    path = Path(store.path("config.yaml"))
    path.unlink() if text is None else path.write_text(text)
    status, printed = run("verify", verify=REPAIR)
    assert status == WORK_REMAINS and said in printed


@pytest.mark.parametrize("text", ["garbage", '{"epoch": 1, "faults": [1]}', "null", "[]"])
def test_progress_that_cannot_be_read_is_told_and_moved_aside(
    run: Command, store: Store, text: str
):
    store.write_text("progress.json", text)
    status, said = run("verify")
    assert status == WORK_REMAINS and "progress.json: it does not say how far a stage is" in said
    run("verify", verify=REPAIR)
    assert not store.exists("progress.json")
    assert run("verify")[0] == DONE


LEASE = {"epoch": 1, "driver": "deadbeef", "host": "here", "pid": 1}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("epoch-0000001-deadbeef.released.json", "{", "it is not JSON"),
        ("epoch-0000001-deadbeef.released.json", "{}", "no driver has written it"),
        ("epoch-0000000-deadbeef.released.json", json.dumps(LEASE), "its epoch is 1, which is not"),
        ("mine.json", json.dumps(LEASE), "it has no name of a lease"),
        ("epoch-9999999-deadbeef.json", "{}", "no driver has written it"),
    ],
)
def test_a_lease_that_no_driver_wrote_is_told(
    run: Command, store: Store, name: str, text: str, problem: str
):
    store.write_text(f"leases/{name}", text)
    status, said = run("verify")
    assert status == WORK_REMAINS and f"leases/{name}: {problem}" in said


def test_a_folder_with_the_name_of_a_part_is_told_and_moved_aside(run: Command, store: Store):
    folder = Path(store.path(store.part_names()[0])).parent / "shard-mine.parquet"
    folder.mkdir()
    status, said = run("verify")
    assert status == WORK_REMAINS and "shard-mine.parquet: it is a folder and not a file" in said
    run("verify", verify=REPAIR)
    assert not folder.exists() and run("verify")[0] == DONE


def test_a_file_that_plain_readers_take_for_samples_is_told_and_moved_aside(
    run: Command, store: Store
):
    """Earlier versions gave damaged parts such names."""
    name = store.part_names()[0]
    store.write_bytes(f"{name}.damaged", store.read_bytes(name))
    assert doubled(store)
    status, said = run("verify")
    assert status == WORK_REMAINS and f"{name}.damaged: it is no file of samples" in said
    run("verify", verify=REPAIR)
    assert not doubled(store) and run("verify")[0] == DONE


def doubled(store: Store) -> Counter:
    """How often a plain reader reads each sample that it reads more than once."""
    columns = ["engine_id", "question_id", "sample_index"]
    table = ds.dataset(store.path("samples")).to_table(columns=columns)
    found = Counter(zip(*(table[name].to_pylist() for name in columns), strict=True))
    return Counter({cell: count for cell, count in found.items() if count > 1})


def test_every_doubled_sample_is_told_and_repair_leaves_none(run: Command, store: Store):
    """Parts that overlap in some cells only, and one that adds nothing, as drivers of old leave them."""
    parts = [read_file(store, name) for name in store.part_names()]
    early, late = sorted(
        (pair for pair in parts if "sums-2" in pair[0].questions),
        key=lambda pair: pair[0].sample_start,
    )
    rows = pa.concat_tables([early[1], late[1].slice(0, 1)])
    store.write_part(replace(early[0], shard_id="zz", sample_count=3), rows)
    store.write_part(replace(late[0], shard_id="zy"), late[1])
    assert sum(count - 1 for count in doubled(store).values()) == 5
    status, said = run("verify")
    assert status == WORK_REMAINS
    told = [int(words.split()[-1]) for words in said.split(" of its samples are also in")[:-1]]
    assert told == [2, 2, 2]
    run("verify", verify=REPAIR)
    assert not doubled(store)
    assert run("generate", "reduce", "verify")[0] == DONE
    assert not doubled(store)


def tagged(store: Store, name: str, reduction: str | None) -> None:
    """Write a table again as that of another reduction."""
    table = store.read_whole_table(name)
    metadata = {**(table.schema.metadata or {})}
    metadata.pop(b"raysweep.reduction", None)
    if reduction is not None:
        metadata[b"raysweep.reduction"] = reduction.encode()
    pq.write_table(table.replace_schema_metadata(metadata), store.path(name))


def of_one_reduction(store: Store, reduction: str | None = "one") -> None:
    summary = json.loads(store.read_text("summary.json"))
    summary.pop("reduction", None)
    named = {} if reduction is None else {"reduction": reduction}
    store.write_text("summary.json", json.dumps({**summary, **named}))
    for path in Path(store.root).glob("*.parquet"):
        if path.name not in ("plan.parquet", "engines.parquet"):
            tagged(store, path.name, reduction)


@pytest.mark.parametrize("other", ["two", None])
def test_a_table_of_another_reduction_is_told_though_its_rows_fit(
    run: Command, store: Store, other: str | None
):
    of_one_reduction(store)
    assert run("verify")[0] == DONE
    tagged(store, "scores.parquet", other)
    status, said = run("verify")
    assert status == WORK_REMAINS
    assert "scores.parquet: it was written by another reduction than the other tables" in said
    assert said.count("another reduction") == 1


def test_a_summary_of_another_reduction_than_all_tables_is_told(run: Command, store: Store):
    of_one_reduction(store)
    summary = json.loads(store.read_text("summary.json"))
    store.write_text("summary.json", json.dumps({**summary, "reduction": "two"}))
    assert run("verify")[0] == WORK_REMAINS


def test_tables_of_an_early_version_name_no_reduction_and_are_whole(run: Command, store: Store):
    of_one_reduction(store, None)
    assert run("verify")[0] == DONE

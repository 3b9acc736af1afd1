"""A run whose parts lie in few files is regraded, verified, reduced, lengthened and grown as any other."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.command import Command, generate_here
from support.nouns import a_benchmark
from support.parts import files

from raysweep import grading
from raysweep.driver import generate
from raysweep.reducing.answer_counts import COLUMNS, DICTIONARIES
from raysweep.run_config import Verify
from raysweep.storage import part_reading, seal
from raysweep.storage.damaged import aside_name
from raysweep.storage.part import Part
from raysweep.storage.part_file import is_compacted, place_of
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE, WORK_REMAINS
from raysweep.upkeep import compacting

REPAIR = Verify(repair=True)
TABLES = ("scenarios.parquet", "scores.parquet", "frontier.parquet")


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """A complete run whose four parts lie in one file."""
    monkeypatch.setattr(generate, "generate", generate_here)
    command = Command(tmp_path, capsys)
    assert command("plan", "generate", "reduce")[0] == DONE
    status, said = command("compact")
    assert status == DONE and "moved samples from 4 files into 1 larger" in said
    assert "4 parts in 1 file" in said
    return command


@pytest.fixture
def store(run: Command) -> Store:
    return Store(str(run.out / "test"))


def in_folder(store: Store) -> list[str]:
    return files(Path(store.root) / "samples")


def rows(store: Store) -> dict[tuple[str, int], dict[str, Any]]:
    table = store.read_samples(map(place_of, store.parts()), SAMPLES.names)
    cells = (table[name].to_pylist() for name in ("question_id", "sample_index"))
    found = Counter(zip(*cells, strict=True))
    assert set(found.values()) == {1}
    return {(row["question_id"], row["sample_index"]): row for row in table.to_pylist()}


def rewritten(store: Store, change: Callable[[dict], None], number: int, **notes: Any) -> str:
    """Write a compacted file again with the rows of one of its parts changed. Returns its name."""
    (name,) = store.part_names()
    whole = store.read_whole_file(name)
    parts, tables = list(whole.parts), [whole.table(part).to_pylist() for part in whole.parts]
    for row in tables[number]:
        change(row)
    parts[number] = replace(parts[number], **notes)
    made = (pa.Table.from_pylist(rows, schema=SAMPLES) for rows in tables)
    store.write_parts(name, parts, made)
    return name


def test_the_tables_are_those_of_the_parts_as_they_were_written(run: Command, store: Store):
    before = [store.read_table(name) for name in TABLES]
    assert run("reduce", "verify")[0] == DONE
    assert [store.read_table(name) for name in TABLES] == before


def test_compacting_again_and_generating_again_change_nothing(run: Command, store: Store):
    before = in_folder(store)
    status, said = run("generate", "compact")
    assert status == DONE and "nothing to do" in said and "moved" not in said
    assert in_folder(store) == before


def test_more_samples_stand_beside_and_are_merged_by_the_next_compaction(
    run: Command, store: Store
):
    before = rows(store)
    assert run("generate", "reduce", "verify", samples=6, group_sizes=(1,))[0] == DONE
    after = rows(store)
    assert before.items() < after.items()
    assert len(in_folder(store)) > 1
    assert run("compact", "verify", samples=6, group_sizes=(1,))[0] == DONE
    assert len(in_folder(store)) == 1 and rows(store) == after


def test_regrading_rewrites_the_file_and_its_notes_and_again_nothing(run: Command, store: Store):
    other = {"benchmarks": (a_benchmark(grader="mathematics"),)}
    status, said = run("regrade", "reduce", "verify", **other)
    assert status == DONE and "12" in said
    tags = {tag for part in store.parts() for tag in part.graders.values()}
    assert tags == {grading.tag("mathematics")}
    (path,) = (Path(store.root) / "samples").rglob("*.parquet")
    before = path.read_bytes()
    assert is_compacted(str(path))
    assert run("regrade", **other)[0] == DONE
    assert path.read_bytes() == before
    assert run("regrade")[0] == DONE
    assert "no problem found in 12 samples of 4 parts" in run("verify")[1]


def other_seed(row: dict) -> None:
    row["seed"] += 1


def test_a_part_that_is_wrong_is_named_and_repair_keeps_the_others(run: Command, store: Store):
    wanted = rows(store)
    name = rewritten(store, other_seed, 2)
    wrong = list(store.read_notes(name))[2]
    status, said = run("verify")
    assert status == WORK_REMAINS
    assert f"{name}: {wrong.shard_id}: " in said and "have seeds that do not follow" in said
    run("verify", verify=REPAIR)
    left = list(store.parts())
    assert len(left) == 3 and wrong not in left
    assert store.exists(aside_name(name))
    assert run("generate", "reduce", "verify")[0] == DONE
    again = rows(store)
    assert again.keys() == wanted.keys()
    assert all(again[cell]["token_ids"] == wanted[cell]["token_ids"] for cell in wanted)


def test_a_page_that_is_damaged_costs_its_part_alone(run: Command, store: Store):
    (name,) = store.part_names()
    footer = store.read_footer(name)[1]
    group = footer.row_group(1)
    columns = (group.column(place) for place in range(group.num_columns))
    (column,) = (one for one in columns if one.path_in_schema == "question_id")
    path = Path(store.path(name))
    data = bytearray(path.read_bytes())
    data[(column.dictionary_page_offset or column.data_page_offset) + 20] ^= 0xFF
    path.write_bytes(data)
    status, said = run("reduce")
    assert status == WORK_REMAINS and "cannot be read; it was set aside" in said
    assert len(list(store.parts())) == 3
    assert run("generate", "reduce", "verify")[0] == DONE
    assert len(rows(store)) == 12


def test_generate_compacts_the_engines_that_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(generate, "generate", generate_here)
    monkeypatch.setattr(compacting, "MANY_FILES", 4)
    run = Command(tmp_path, capsys)
    status, said = run("plan", "generate", "reduce", "verify")
    assert status == DONE and "moved samples from 4 files into 1 larger" in said
    store = Store(str(tmp_path / "test"))
    assert len(in_folder(store)) == 1 and len(rows(store)) == 12


def test_generate_removes_the_copies_that_a_killed_compaction_left(run: Command, store: Store):
    wanted, (name,) = rows(store), store.part_names()
    part: Part = store.read_notes(name)[0]
    store.write_part(*store.read_whole_part(place_of(part)))
    assert len(in_folder(store)) == 2 and rows(store) == wanted
    status, said = run("verify")
    assert status == WORK_REMAINS and f"of its samples are also in {name}" in said
    assert run("generate", "verify")[0] == DONE
    assert in_folder(store) == [name.rpartition("/")[2]] and rows(store) == wanted


def test_what_reduce_counts_of_all_parts_of_a_file_is_read_with_its_footer_read_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    places = [place_of(part) for part in store.parts()]
    apart = [store.read_part(place, COLUMNS, DICTIONARIES) for place in places]
    opened = []
    monkeypatch.setattr(
        part_reading,
        "opened",
        lambda file, *given: opened.append(file) or seal.opened(file, *given),
    )
    together = store.read_parts(places, COLUMNS, DICTIONARIES)
    assert len(places) == 4 and len(opened) == 1
    assert all(one.equals(other) for one, other in zip(together, apart, strict=True))

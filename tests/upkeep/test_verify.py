"""The stage verify reports everything that is wrong with a run's files, and nothing else."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.command import Command, generate_here
from support.nouns import a_run_config
from support.parts import read_file

from raysweep.driver import generate
from raysweep.run_config import RunConfig, Verify
from raysweep.storage.damaged import aside_name
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE, WORK_REMAINS
from raysweep.upkeep.verify import check_doubles, check_parts, check_prompts
from raysweep.upkeep.verify_folder import check_folder_files
from raysweep.upkeep.verify_tables import check_tables

REPAIR = Verify(repair=True)


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """A complete run with four parts and its tables."""
    monkeypatch.setattr(generate, "generate", generate_here)
    command = Command(tmp_path, capsys)
    assert command("plan", "generate", "reduce")[0] == DONE
    return command


@pytest.fixture
def store(command: Command) -> Store:
    return Store(str(command.out / "test"))


@pytest.fixture
def config(command: Command) -> RunConfig:
    return a_run_config(out=str(command.out))


def problems(config: RunConfig, store: Store) -> list[str]:
    names = store.part_names()
    checked = list(check_parts(config, store, names))
    found = [problem for one in checked for problem in one.problems]
    sound = [part for one in checked for part in one.parts]
    found += [*check_doubles(sound), *check_prompts(sound)]
    found += [*check_tables(store), *check_folder_files(store, names)]
    return [problem.text for problem in found]


def rewritten(
    store: Store, change: Callable[[dict[str, Any]], Any], number: int = 0, **part: Any
) -> str:
    """Write a part again with each row changed. Returns its name."""
    name = store.part_names()[number]
    note, table = read_file(store, name)
    rows = [change(row) or row for row in table.to_pylist()]
    store.write_part(replace(note, **part), pa.Table.from_pylist(rows, schema=table.schema))
    return name


def test_a_run_that_is_whole_has_nothing_wrong(command, store, config):
    assert problems(config, store) == []
    status, said = command("verify")
    assert status == DONE
    assert "no problem found in 12 samples of 4 parts" in said


def test_a_bit_that_flipped_in_a_page_is_told(store, config):
    file = Path(store.path(store.part_names()[1]))
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    (problem,) = problems(config, store)
    assert "it has changed since it was written" in problem


def test_a_part_cut_short_is_told(store, config):
    file = Path(store.path(store.part_names()[1]))
    file.write_bytes(file.read_bytes()[:-1])
    (problem,) = problems(config, store)
    assert "does not end as a Parquet file does" in problem


def test_a_part_under_another_parts_name_is_told(store, config):
    first, second = (Path(store.path(name)) for name in store.part_names()[:2])
    second.write_bytes(first.read_bytes())
    assert problems(config, store) == ["its metadata belong to another part"]


def double(row: dict[str, Any]) -> None:
    row["sample_index"] = 0


def other_engine(row: dict[str, Any]) -> None:
    row["engine_id"] = "other"


def other_seed(row: dict[str, Any]) -> None:
    row["seed"] += 1


def lost_token(row: dict[str, Any]) -> None:
    row["token_ids"] = row["token_ids"][:-1]


def lost_budget(row: dict[str, Any]) -> None:
    row["answers"] = row["answers"][:-1]


def new_outcome(row: dict[str, Any]) -> None:
    row["answers"][0]["outcome"] = "perhaps"


def too_long(row: dict[str, Any]) -> None:
    row["answers"][0]["thinking_tokens"] = 99


def two_benchmarks(row: dict[str, Any]) -> None:
    row["benchmark"] = str(row["sample_index"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (double, "different ones: "),
        (other_engine, "samples of another engine than toy.bf16.full"),
        (other_seed, "of its samples have seeds that do not follow from the run's seed 0"),
        (lost_token, "it has traces whose number of tokens differs from trace_tokens"),
        (lost_budget, "without exactly one answer for each token budget, [4, 8]"),
        (new_outcome, "it has answers with the unknown outcome 'perhaps'"),
        (too_long, "it has answers with more thinking tokens than their token budget"),
        (two_benchmarks, "samples of several benchmarks"),
    ],
)
def test_rows_that_do_not_fit_their_part_or_run_are_told(store, config, change, problem):
    rewritten(store, change)
    found = problems(config, store)
    assert len(found) == 1 and problem in found[0]


def test_a_column_that_is_not_there_or_of_another_type_is_told(store, config):
    note, table = read_file(store, store.part_names()[0])
    store.write_part(note, table.drop_columns(["seed"]))
    assert problems(config, store) == ["it lacks seed"]
    store.write_part(note, table.set_column(4, "seed", table["wall_s"]))
    assert problems(config, store) == ["its column 'seed' is double, not int64"]


def test_a_part_from_before_a_column_was_thought_of_is_whole(store, config):
    note, table = read_file(store, store.part_names()[0])
    store.write_part(note, table.drop_columns(["reproducible"]))
    assert problems(config, store) == []


def test_a_table_from_before_a_column_was_added_is_whole_and_one_that_lacks_another_is_not(
    store, config
):
    path, table = store.path("frontier.parquet"), store.read_whole_table("frontier.parquet")
    later = ["weight_group_size", "weight_symmetric", "weight_act_order"]
    pq.write_table(table.drop_columns(later), path)
    assert problems(config, store) == []
    pq.write_table(table.drop_columns(["weight_bits"]), path)
    assert problems(config, store) == ["it lacks weight_bits"]


def test_a_sample_that_counts_in_two_parts_is_told(store, config):
    """Two drivers that did not know of each other and cut the work differently leave this behind."""
    parts = [read_file(store, name) for name in store.part_names()]
    early, late = sorted(
        (pair for pair in parts if "sums-2" in pair[0].questions),
        key=lambda pair: pair[0].sample_start,
    )
    rows = pa.concat_tables([early[1], late[1].slice(0, 1)])
    store.write_part(replace(early[0], shard_id="zz", sample_count=3), rows)
    Path(store.path(early[0].name)).unlink()
    found = problems(config, store)
    assert len(found) == 1
    assert "of its samples are also in" in found[0]


def test_a_table_that_is_damaged_or_of_another_driver_is_told(store, config):
    data = Path(store.path("scores.parquet"))
    data.write_bytes(data.read_bytes()[::-1])
    assert "does not end as a Parquet file does" in problems(config, store)[0]


def test_tables_of_two_reductions_are_told(command, store, config):
    before = store.read_bytes("scores.parquet")
    command("generate", "reduce")  # another driver
    store.write_bytes("scores.parquet", before)
    assert problems(config, store) == ["it was written by another driver (epoch 1) than the others"]


def test_a_summary_that_does_not_fit_the_tables_is_told(store, config):
    summary = json.loads(store.read_text("summary.json"))
    store.write_text("summary.json", json.dumps({**summary, "scenarios": 7}))
    (problem,) = problems(config, store)
    assert problem.endswith("rows, but summary.json counts 7 scenarios")
    store.write_text("summary.json", "{")
    assert "not JSON" in problems(config, store)[0]


def test_verify_says_what_is_wrong_changes_nothing_and_ends_with_3(command, store):
    name = rewritten(store, other_seed)
    before = store.read_bytes(name)
    status, said = command("verify")
    assert status == WORK_REMAINS
    assert (
        f"wrong {store.path(name)}: " in said
        and "of its samples have seeds that do not follow from the run's seed" in said
    )
    assert "verify.repair=true moves 1 file aside" in said
    assert store.read_bytes(name) == before


def test_repair_moves_parts_and_tables_aside_and_the_next_run_makes_them_anew(
    command, store, config
):
    rows = sorted(read_file(store, name)[1].to_pylist()[0]["seed"] for name in store.part_names())
    name = rewritten(store, other_seed)
    Path(store.path("frontier.parquet")).write_bytes(b"gone")
    status, said = command("verify", verify=REPAIR)
    assert status == WORK_REMAINS and said.count("aside ") == 2
    assert not store.exists(name) and store.exists(aside_name(name))
    assert command("plan", "generate", "reduce")[0] == DONE
    assert problems(config, store) == []
    assert rows == sorted(read_file(store, n)[1].to_pylist()[0]["seed"] for n in store.part_names())


def test_repair_and_what_makes_anew_may_be_one_command(command, store, config):
    rewritten(store, other_seed)
    status, said = command("verify", "plan", "generate", "reduce", verify=REPAIR)
    assert status == DONE and "aside" in said
    assert problems(config, store) == []


def test_a_question_that_was_asked_with_two_prompts_is_told(command, store, config):
    notes = list(store.parts())
    alike = [part for part in notes if part.questions == notes[0].questions]
    prompts = dict.fromkeys(alike[1].questions, "another")
    number = notes.index(alike[1])
    name = rewritten(store, lambda row: None, number, prompts=prompts)
    first = next(iter(prompts))
    assert problems(config, store) == [
        f"its prompt of {first} differs from that in {alike[0].name}"
    ]
    assert f"{name}: its prompt of {first} differs" in command("verify")[1]


def test_a_part_that_does_not_name_its_prompts_is_told(store, config):
    rewritten(store, lambda row: None, prompts={})
    assert problems(config, store) == ["it does not name the prompt of each question"]


def test_a_part_of_another_schema_version_is_told_and_left_where_it_is(command, store):
    name = store.part_names()[0]
    note, table = read_file(store, name)
    store.write_part(replace(note, version=99), table)
    status, said = command("verify", verify=REPAIR)
    assert status == WORK_REMAINS and "has schema version 99" in said
    assert store.exists(name)

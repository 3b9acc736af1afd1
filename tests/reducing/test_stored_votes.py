"""Votes are stored, and a later reduce reads only what is new; its tables are those of a first one."""

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.hand_made_runs import SUMS, benchmark, polls, reduce_run, sweep_of, to_do, write_part

from actors.kv.full import Full
from actors.kv.streaming_llm import StreamingLLM
from raysweep import grading
from raysweep.reducing import reduce, stored_votes
from raysweep.run_config import RunConfig
from raysweep.shard import Shard
from raysweep.spec import Benchmark
from raysweep.storage.part import Part
from raysweep.storage.result_files import REDUCED
from raysweep.storage.store import Store
from raysweep.system.content import content_hash

OTHER = benchmark("other", 3)
SAYINGS = ("right", "7", "8", "9", "cut_off")


def a_sweep(**changes) -> RunConfig:
    """Two engines on two benchmarks of two and three questions, with four samples of each."""
    both = {"kv_policies": (Full(), StreamingLLM(sinks=2, window=6)), "benchmarks": (SUMS, OTHER)}
    return sweep_of(**{**both, **changes})


def samples_of(shard: Shard) -> list[dict]:
    """Samples that follow from the shard's name, so that a shard that is made again is the same."""
    chance = random.Random(shard.shard_id)
    return polls({q.question_id: chance.choices(SAYINGS, k=8) for q in shard.questions})


def make(store: Store, config: RunConfig, shards: int | None = None) -> None:
    """Make missing shards."""
    for shard in to_do(config, store)[:shards]:
        write_part(store, shard, samples_of(shard))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "run"))


def votes_of(store: Store) -> list[Path]:
    return sorted(Path(store.root, "votes").glob("*.parquet"))


def tables(store: Store) -> dict[str, bytes]:
    return {name: store.read_bytes(name) for name in REDUCED}


def reduced_anew(store: Store, config: RunConfig) -> dict[str, bytes]:
    """The tables of a first reduce of these samples, in a folder of its own."""
    other = Path(f"{store.root}-anew")
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(Path(store.root, "samples"), other / "samples")
    reduce_run(config, Store(str(other)))
    return tables(Store(str(other)))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines whose samples were read, one entry for each part."""
    found: list[str] = []
    read_parts = Store.read_parts

    def noting(self, places, *arguments):
        found.extend(place.file.split("/")[1].removeprefix("engine=") for place in places)
        return read_parts(self, places, *arguments)

    monkeypatch.setattr(Store, "read_parts", noting)
    return found


def spoil(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 3] ^= 0xFF
    path.write_bytes(whole)


@pytest.mark.parametrize("seed", range(4))
def test_any_course_of_samples_that_come_and_votes_that_go_ends_in_the_tables_of_a_first_reduce(
    store: Store, seed: int
):
    chance, config = random.Random(seed), a_sweep()
    while left := to_do(config, store):
        shard = chance.choice(left)
        write_part(store, shard, samples_of(shard))
        act = chance.choice(("nothing", "nothing", "reduce", "lose", "spoil", "lose all"))
        if act == "reduce":
            reduce_run(config, store)
        elif act == "lose all":
            shutil.rmtree(Path(store.root, "votes"), ignore_errors=True)
        elif act != "nothing" and (votes := votes_of(store)):
            (Path.unlink if act == "lose" else spoil)(chance.choice(votes))
    reduce_run(config, store)
    assert tables(store) == reduced_anew(store, config)


def test_only_partitions_with_new_parts_are_read(store: Store, read: list[str]):
    config = a_sweep()
    make(store, config, -1)
    reduce_run(config, store)
    read.clear()
    reduce_run(config, store)
    assert read == []
    (last,) = to_do(config, store)
    write_part(store, last, samples_of(last))
    reduce_run(config, store)
    own = [part for part in store.parts() if part.stream_id == last.stream_id]
    assert read == [last.engine.engine_id] * len(own)
    assert tables(store) == reduced_anew(store, config)


def test_one_file_for_each_engine_lies_outside_of_the_samples(store: Store):
    make(store, a_sweep())
    reduce_run(a_sweep(), store)
    assert [path.name for path in votes_of(store)] == [
        "engine=toy.bf16.full.parquet",
        "engine=toy.bf16.streaming_llm-8-s2.parquet",
    ]


def other_question(asked: Benchmark) -> Benchmark:
    first = replace(asked.questions[0], prompt="another text?")
    return replace(asked, questions=(first, *asked.questions[1:]))


def other_gold(asked: Benchmark) -> Benchmark:
    first = replace(asked.questions[0], gold="9")
    return replace(asked, questions=(first, *asked.questions[1:]))


CHANGES = {
    "group sizes": {"group_sizes": (1, 3)},
    "token budgets": {"token_budgets": (20,)},
    "fewer samples": {"samples": 2, "group_sizes": (1, 2)},
    "a question's text": {"benchmarks": (SUMS, other_question(OTHER))},
    "a gold answer": {"benchmarks": (SUMS, other_gold(OTHER))},
    "fewer questions": {"benchmarks": (SUMS, replace(OTHER, questions=OTHER.questions[1:]))},
    "one benchmark": {"benchmarks": (OTHER,)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_configuration_gives_what_it_gives_at_first(store: Store, change: str):
    make(store, a_sweep())
    reduce_run(a_sweep(), store)
    changed = a_sweep(**CHANGES[change])
    reduce_run(changed, store)
    assert tables(store) == reduced_anew(store, changed)
    reduce_run(a_sweep(), store)
    assert tables(store) == reduced_anew(store, a_sweep())


def rewritten(store: Store) -> Part:
    """Rewrite the first part with all its answers wrong, as a grader would that credits none of them."""
    part = next(iter(store.parts()))
    table = store.read_table(part.name)
    rows = table.to_pylist()
    for row in rows:
        for answer in row["answers"]:
            answer |= {"outcome": "wrong", "answer": "0"}
    store.write_part(part, table.from_pylist(rows, schema=table.schema))
    return part


def test_a_part_that_was_graded_again_is_counted_again(store: Store):
    make(store, a_sweep())
    reduce_run(a_sweep(), store)
    before = tables(store)
    rewritten(store)
    reduce_run(a_sweep(), store)
    assert tables(store) == reduced_anew(store, a_sweep()) != before


def test_another_version_of_the_grader_or_of_counting_counts_again(
    store: Store, read: list[str], monkeypatch: pytest.MonkeyPatch
):
    make(store, a_sweep())
    parts = 0
    for change in ("nothing", "counting", "grader"):
        if change == "counting":
            monkeypatch.setattr(stored_votes, "VERSION", stored_votes.VERSION + 1)
        if change == "grader":
            monkeypatch.setattr(grading, "tag", lambda name: f"{name}-99")
        read.clear()
        reduce_run(a_sweep(), store)
        parts = parts or len(read)
        assert len(read) == parts > 0


def test_the_votes_of_a_partition_with_a_damaged_part_are_not_stored(store: Store, read: list[str]):
    make(store, a_sweep())
    spoiled = Path(store.root, next(iter(store.parts())).name)
    whole = spoiled.read_bytes()
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    spoiled.write_bytes(b"PAR1" + b"\xff" * (end - 4) + whole[end:])
    assert len(reduce_run(a_sweep(), store).summary["parts_set_aside"]) == 1
    read.clear()
    assert reduce_run(a_sweep(), store).summary["parts_set_aside"] == []
    assert read
    assert tables(store) == reduced_anew(store, a_sweep())


def plain(value: Any) -> Any:
    """A value with numbers to nine places, so that no machine's last bit counts."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return list(map(plain, value))
    return round(value, 9) if isinstance(value, float) else value


def test_the_versions_name_how_votes_are_counted_and_results_are_made(store: Store):
    """If this fails because results have changed: raise the VERSION, and note its new hash here."""
    make(store, a_sweep())
    found = reduce_run(a_sweep(), store)
    votes = [store.read_table(f"votes/{one.name}").to_pylist() for one in votes_of(store)]
    assert {stored_votes.VERSION: content_hash(plain(votes))} == {1: "f8dcd2a2f81efc94"}
    results = [found.tables[name].to_pylist() for name in sorted(found.tables)]
    assert {reduce.VERSION: content_hash(plain(results))} == {1: "c195aa04383064f8"}

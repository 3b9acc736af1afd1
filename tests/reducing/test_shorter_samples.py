"""Samples up to fewer token budgets count at the budgets that they have, each once, and at no other."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from support.hand_made_runs import (
    LONG,
    SHORT,
    SUMS,
    answer,
    reduce_run,
    rows_at,
    sample,
    sweep_of,
    write_part,
)

from raysweep.grading.equivalence import Equivalence
from raysweep.planning.demand import Segment
from raysweep.planning.plan import make_plan
from raysweep.reducing.partitions import Partition, Reduced, count, read_partition, reduce_votes
from raysweep.stages.folder_view import FolderView
from raysweep.stages.reduce import partitions
from raysweep.storage.store import Store
from raysweep.system.workers import Workers

SAYS = ("right", "7", "7", "right")  # at the long budget; "right" at the short one
ENDED, CUT = 8, SHORT  # tokens of thinking before the short budget's answer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def a_sample(question_id: str, index: int) -> dict:
    """The first sample of a question ends by itself, the others fill every budget."""
    says, thinks = {SHORT: "right", LONG: SAYS[index]}, index > 0
    whole = sample(question_id, index, says, finish="budget" if thinks else "stop")
    if thinks:
        whole["trace_tokens"] = LONG
        whole["answers"] = [
            answer(budget, said, thinking_tokens=budget, forced=True)
            for budget, said in says.items()
        ]
    return whole


def shortened(row: dict) -> dict:
    """The same sample as it is up to the short budget alone."""
    tokens = min(row["trace_tokens"], SHORT) if row["finish"] == "budget" else row["trace_tokens"]
    return {**row, "trace_tokens": tokens, "answers": row["answers"][:1]}


def make(store: Store, *segments: tuple[int, int, int]) -> None:
    """Make what these segments want and the folder lacks."""
    config = sweep_of()
    demands = {("toy.bf16.full", "sums"): tuple(Segment(*each) for each in segments)}
    samples = [a_sample(q.question_id, index) for q in SUMS.questions for index in range(4)]
    for shard in make_plan(config, store.parts(), demands).to_do:
        short = len(shard.decoding.token_budgets) == 1
        write_part(store, shard, map(shortened, samples) if short else samples)


def the_partition(store: Store) -> Partition:
    (found,) = partitions(FolderView(sweep_of(), store), {})
    return found


def reduced(store: Store) -> Reduced:
    partition, sweep = the_partition(store), sweep_of().sweep
    with Workers(1) as workers:
        read = read_partition(partition, sweep, store)
        counted = count(partition, sweep, read, Equivalence(workers))
    return reduce_votes(partition, sweep, counted)


def scores(found: Reduced, budget: int) -> list[list[float]]:
    rows = [one for one in found.scenarios if one.row["token_budget"] == budget]
    return [one.scores.tolist() for one in rows]


def test_a_sample_that_was_lengthened_counts_once_as_it_is_in_full(tmp_path: Path):
    whole, grown = Store(str(tmp_path / "whole")), Store(str(tmp_path / "grown"))
    make(whole, (0, 4, 2))
    make(grown, (0, 3, 1))
    make(grown, (0, 4, 2))
    expected, found = reduce_run(sweep_of(), whole), reduce_run(sweep_of(), grown)
    for name, table in expected.tables.items():
        assert found.tables[name].equals(table), name
    for shards in ("shards", "shards_missing"):
        del expected.summary[shards], found.summary[shards]
    assert found.summary == expected.summary


def test_at_each_budget_the_samples_that_have_it_count(tmp_path: Path):
    store = Store(str(tmp_path / "mixed"))
    make(store, (0, 2, 2), (2, 4, 1))
    found = reduced(store)
    of_all, of_two = Store(str(tmp_path / "all")), Store(str(tmp_path / "two"))
    make(of_all, (0, 4, 2))
    make(of_two, (0, 2, 2))
    assert scores(found, SHORT) == scores(reduced(of_all), SHORT)
    assert scores(found, LONG) == scores(reduced(of_two), LONG)
    complete = {one.row["token_budget"]: one.row["complete"] for one in found.scenarios}
    assert complete == {SHORT: True, LONG: False}


def test_what_was_cut_short_is_neither_finished_at_the_largest_budget_nor_whole(store: Store):
    make(store, (0, 2, 2), (2, 4, 1))
    found = reduced(store)
    assert found.finishes == {"stop": 2, "budget": 2}
    assert (found.samples, found.samples_missing) == (8, 4)
    np.testing.assert_array_equal(found.lengths, [(ENDED + LONG) / 2] * 2)
    # At the short budget all four samples answer, at the long one two of them.
    assert found.outcomes.sum() == 2 * (4 + 2)


def test_a_trace_that_ended_counts_at_no_budget_that_was_not_asked_of_it(store: Store):
    """Else only those that ended would count there, without those that were cut."""
    make(store, (0, 4, 1))
    found = reduced(store)
    assert found.finishes == {} and np.isnan(found.lengths).all()
    assert {one.row["token_budget"] for one in found.scenarios} == {SHORT}
    assert found.samples_missing == 8


def tokens(rows: Iterable[dict]) -> int:
    """Tokens of traces, and of the answers of forks."""
    return sum(
        row["trace_tokens"] + sum(a["answer_tokens"] for a in row["answers"] if a["forced"])
        for row in rows
    )


def test_tokens_of_a_sample_are_counted_once(store: Store):
    make(store, (0, 4, 1))
    make(store, (0, 2, 2), (2, 4, 1))
    samples = [a_sample(q.question_id, index) for q in SUMS.questions for index in range(4)]
    expected = [s if s["sample_index"] < 2 else shortened(s) for s in samples]
    assert reduced(store).tokens_generated == tokens(expected)


def test_a_shorter_part_stays_where_only_some_of_its_samples_were_lengthened(store: Store):
    make(store, (0, 4, 1))
    make(store, (0, 1, 2), (1, 4, 1))
    found = reduced(store)
    assert (found.samples, found.samples_missing) == (8, 6)
    assert rows_at(reduce_run(sweep_of(), store), LONG).keys() == {1}
    assert rows_at(reduce_run(sweep_of(), store), SHORT).keys() == {1, 2, 4}

"""Reducing what is there: samples that are missing, too many, twice there, outdated, or damaged."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.hand_made_runs import (
    LONG,
    MIXED,
    answer,
    benchmark,
    generate,
    polls,
    reduce_run,
    rows_at,
    sweep_of,
    to_do,
    whole_shard,
    write_part,
)

from actors.kv.full import Full
from actors.kv.streaming_llm import StreamingLLM
from raysweep.analysis.recommend import recommend
from raysweep.reporting.results import read_candidates, read_results
from raysweep.storage.schemas import SCENARIOS
from raysweep.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_missing_shards_leave_smaller_groups_and_an_incomplete_result(store):
    generate(sweep_of(), store, MIXED, lost=1)  # the last two samples of sums-1
    reduction = reduce_run(sweep_of(), store)
    rows = rows_at(reduction, LONG)
    assert set(rows) == {1, 2}
    assert rows[1]["accuracy"] == (2 / 4 + 1 / 2) / 2
    assert all(row["n_samples"] == 2 and row["n_questions"] == 2 for row in rows.values())
    assert not any(row["complete"] for row in rows.values())
    assert reduction.summary["shards"] == 4
    assert reduction.summary["shards_missing"] == 1
    assert reduction.summary["scenarios_skipped"] == 2  # four samples at the two budgets


def test_a_question_without_any_sample_has_no_say_and_is_not_counted(store):
    for shard in to_do(sweep_of(), store):
        if shard.questions[0].question_id == "sums-0":
            write_part(store, shard, MIXED)
    row = rows_at(reduce_run(sweep_of(), store), LONG)[4]
    assert (row["n_questions"], row["n_samples"], row["complete"]) == (1, 4, False)
    assert row["accuracy"] == 1
    assert row["accuracy_lo"] < 0.5  # one question says little


def test_nothing_generated_gives_empty_tables_and_the_number_of_what_is_missing(store):
    generate(sweep_of(), store, MIXED, lost=4)
    reduction = reduce_run(sweep_of(), store)
    assert reduction.scenarios.num_rows == reduction.frontier.num_rows == 0
    assert reduction.summary["scenarios_skipped"] == 2 * 3
    assert store.read_table("scenarios.parquet").schema.names == SCENARIOS.names


def test_a_complete_run_says_so(store):
    generate(sweep_of(), store, MIXED)
    reduction = reduce_run(sweep_of(), store)
    assert all(row["complete"] and row["n_samples"] == 4 for row in reduction.scenarios.to_pylist())
    assert reduction.summary["scenarios_skipped"] == 0


def test_samples_and_questions_of_an_earlier_larger_run_are_left_out(store):
    larger = sweep_of(samples=4, benchmarks=(benchmark("sums", 3),))
    larger = replace(larger, generation=replace(larger.generation, shard_questions=3))
    generate(larger, store, [*MIXED, *polls({"sums-2": ("no", "no", "no", "no")})])
    smaller = sweep_of(samples=3, group_sizes=(1, 3))
    assert to_do(smaller, store) == ()
    reduction = reduce_run(smaller, store)
    rows = rows_at(reduction, LONG)
    assert rows[1]["accuracy"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert rows[3]["accuracy"] == (1 + 0) / 2
    assert (rows[3]["n_questions"], rows[3]["n_samples"], rows[3]["complete"]) == (2, 3, True)
    assert reduction.summary["samples"] == 2 * 3


def test_a_sample_that_two_shards_hold_votes_once(store):
    for start in (0, 1):
        part = replace(whole_shard(sweep_of()), sample_start=start, sample_count=3)
        held = [row for row in MIXED if start <= row["sample_index"] < start + 3]
        write_part(store, part, held)
    assert to_do(sweep_of(), store) == ()
    reduction = reduce_run(sweep_of(), store)
    assert reduction.summary["shards"] == 2
    assert reduction.summary["samples"] == 8
    assert rows_at(reduction, LONG)[1]["accuracy"] == 3 / 8


def test_only_the_questions_that_the_plan_gives_a_shard_are_read_from_its_part(store):
    config = sweep_of(samples=2, group_sizes=(1,))
    whole = whole_shard(config)
    first, second = whole.questions
    outdated = replace(whole, questions=(replace(first, prompt="before"), second))
    write_part(store, outdated, polls({"sums-0": ("no", "no"), "sums-1": ("right", "right")}))
    renewed = replace(whole, questions=(first,))
    write_part(store, renewed, polls({"sums-0": ("right", "right")}))
    assert to_do(config, store) == ()
    reduction = reduce_run(config, store)
    assert rows_at(reduction, LONG)[1]["accuracy"] == 1
    assert reduction.summary["samples"] == 4


def test_samples_that_came_after_the_last_plan_count(store):
    fewer, more = sweep_of(samples=2, group_sizes=(1, 2)), sweep_of(samples=4)
    generate(fewer, store, MIXED)
    reduce_run(fewer, store)
    generate(more, store, MIXED)
    reduction = reduce_run(more, store)
    assert reduction.summary["samples"] == 8
    assert reduction.summary["shards_missing"] == 0
    assert store.read_table("plan.parquet").num_rows == 4


def test_a_configuration_without_samples_is_reduced_to_what_is_missing(store):
    generate(sweep_of(), store, MIXED)
    other = sweep_of(kv_policies=(Full(), StreamingLLM(1, 4)))
    reduction = reduce_run(other, store)
    assert reduction.summary["samples"] == 8
    assert (reduction.summary["shards"], reduction.summary["shards_missing"]) == (8, 4)
    assert reduction.summary["scenarios_skipped"] == 2 * 3
    assert store.read_table("engines.parquet").num_rows == 2


def test_an_engine_that_has_met_fewer_questions_is_not_compared(store):
    """The cheaper engine has so far met the easy question alone, and answered it."""
    config = sweep_of(kv_policies=(Full(), StreamingLLM(1, 4)))
    for shard in to_do(config, store):
        is_easy = shard.questions[0].question_id == "sums-0"
        if shard.engine.kv_policy == Full() or is_easy:
            said = "right" if is_easy else "no"
            write_part(store, shard, polls({shard.questions[0].question_id: (said,) * 4}))
    reduction = reduce_run(config, store)
    unfinished = [row for row in reduction.scenarios.to_pylist() if row["n_questions"] == 1]
    assert {row["kv_policy"] for row in unfinished} == {"streaming_llm-5-s1"}
    assert all(row["estimate"] is None and not row["on_frontier"] for row in unfinished)
    for name in ("frontier", "frontiers"):
        assert set(store.read_table(f"{name}.parquet").column("kv_policy").to_pylist()) == {"full"}
    # Nothing of it is lost, and the recommendation and the report compare what the frontier does.
    assert store.read_table("scores.parquet").num_rows == reduction.scenarios.num_rows
    everything = read_candidates(store)["sums"]
    compared = read_results(store).candidates["sums"]
    assert len(everything) == len(compared) + len(unfinished)
    best = recommend(everything, 1e12).best
    assert best.key == recommend(compared, 1e12).best.key
    assert best.configuration.kv_policy == "full"


def test_an_outcome_that_is_not_in_the_contract_is_an_error(store):
    odd = [{**row, "answers": [answer(LONG, "right", outcome="maybe")]} for row in MIXED]
    generate(sweep_of(), store, odd)
    with pytest.raises(ValueError, match="maybe"):
        reduce_run(sweep_of(), store)

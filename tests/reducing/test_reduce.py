"""Reducing hand-made samples whose results are known."""

import json
from pathlib import Path

import pytest
from support.hand_made_runs import (
    LONG,
    MIXED,
    MODEL,
    SHORT,
    SUMS,
    answer,
    benchmark,
    generate,
    polls,
    reduce_run,
    rows_at,
    sample,
    sweep_of,
)

from actors.kv.streaming_llm import StreamingLLM
from raysweep import memory
from raysweep.storage.schemas import FRONTIER, SCENARIOS
from raysweep.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_the_accuracy_of_a_group_is_the_mean_chance_of_its_majority(store):
    generate(sweep_of(), store, MIXED)
    rows = rows_at(reduce_run(sweep_of(), store), LONG)
    assert rows[1]["accuracy"] == (2 / 4 + 1 / 4) / 2
    # sums-0: of 6 pairs 1 is right twice, 4 tie. sums-1: 2 pairs tie, 1 is right and an absence.
    pairs = ((1 + 4 / 2) / 6, (2 / 2 + 1) / 6)
    assert rows[2]["accuracy"] == pytest.approx(sum(pairs) / 2)
    assert rows[4]["accuracy"] == (1 + 0) / 2
    assert [rows[g]["pass_at_1"] for g in (1, 2, 4)] == [3 / 8] * 3
    assert rows[2]["pass_at_g"] == pytest.approx((5 / 6 + 3 / 6) / 2)
    assert rows[4]["pass_at_g"] == 1


def test_each_token_budget_has_its_own_answers(store):
    generate(sweep_of(), store, MIXED)
    assert all(
        row["accuracy"] == 1 for row in rows_at(reduce_run(sweep_of(), store), SHORT).values()
    )


def test_answers_without_a_vote_stay_in_the_denominator_and_are_counted_apart(store):
    silent = polls(
        {
            "sums-0": ("right", "unanswered", "cut_off", "error"),
            "sums-1": ("cut_off", "cut_off", "cut_off", "cut_off"),
        }
    )
    generate(sweep_of(), store, silent)
    reduction = reduce_run(sweep_of(), store)
    rows = rows_at(reduction, LONG)
    assert rows[1]["accuracy"] == 1 / 8
    assert rows[4]["accuracy"] == 1 / 2  # the one vote decides; without a vote nothing is right
    shares = {name: rows[4][name] for name in ("unanswered", "cut_off", "errors")}
    assert shares == {"unanswered": 1 / 8, "cut_off": 5 / 8, "errors": 1 / 8}
    assert reduction.summary["outcomes"] == {
        "correct": 1 + 8,
        "wrong": 0,
        "unanswered": 1,
        "cut_off": 5,
        "error": 1,
    }


def test_the_files_have_the_columns_of_the_contract_in_a_fixed_order(store):
    generate(sweep_of(), store, MIXED)
    reduction = reduce_run(sweep_of(), store)
    assert reduction.scenarios.schema == SCENARIOS
    assert reduction.frontier.schema == FRONTIER
    assert store.read_table("scenarios.parquet").to_pylist() == reduction.scenarios.to_pylist()
    assert store.read_table("frontier.parquet").to_pylist() == reduction.frontier.to_pylist()
    keys = [(row["token_budget"], row["group_size"]) for row in reduction.scenarios.to_pylist()]
    assert keys == [(budget, size) for budget in (SHORT, LONG) for size in (1, 2, 4)]
    again = reduce_run(sweep_of(), store)
    assert again.scenarios.equals(reduction.scenarios)
    assert again.frontier.equals(reduction.frontier)


def test_memory_is_the_weights_and_a_cache_for_each_of_the_group_after_the_longest_prompt(store):
    samples = [*MIXED[1:], {**MIXED[0], "prompt_tokens": 11}]
    generate(sweep_of(), store, samples)
    row = rows_at(reduce_run(sweep_of(), store), LONG)[4]
    assert row["weights_bytes"] == 2 * MODEL.params
    assert row["kv_bytes"] == 4 * (11 + LONG) * memory.kv_bytes_per_token(MODEL.architecture)
    assert row["total_bytes"] == row["weights_bytes"] + row["kv_bytes"]


def test_an_evicting_policy_is_charged_for_what_it_keeps(store):
    config = sweep_of(kv_policies=(StreamingLLM(sinks=1, window=4),))
    generate(config, store, MIXED)
    row = rows_at(reduce_run(config, store), LONG)[2]
    assert row["kv_bytes"] == 2 * 5 * memory.kv_bytes_per_token(MODEL.architecture)
    assert json.loads(row["kv_params"]) == {"sinks": 1, "window": 4}


def test_a_scenario_that_takes_more_memory_for_no_more_accuracy_is_off_the_frontier(store):
    generate(sweep_of(), store, MIXED)
    reduction = reduce_run(sweep_of(), store)
    # One short sample is always right: everything else takes more memory.
    chosen = [row for row in reduction.scenarios.to_pylist() if row["on_frontier"]]
    assert [(row["token_budget"], row["group_size"]) for row in chosen] == [(SHORT, 1)]
    points = reduction.frontier.to_pylist()
    assert [(row["batch_size"], row["token_budget"], row["group_size"]) for row in points] == [
        (1, SHORT, 1),
        (16, SHORT, 1),
    ]
    assert [row["p_on_frontier"] for row in points] == [1, 1]
    assert points[0]["memory_bytes"] == chosen[0]["total_bytes"]
    assert points[1]["memory_bytes"] == chosen[0]["weights_bytes"] / 16 + chosen[0]["kv_bytes"]


def test_every_benchmark_has_its_own_frontier_and_questions(store):
    facts = benchmark("facts", 3)
    config = sweep_of(benchmarks=(SUMS, facts))
    fallible = polls({f"facts-{i}": ("right", "no", "right", "right") for i in range(3)})
    generate(config, store, [*MIXED, *fallible])
    reduction = reduce_run(config, store)
    on = {row["benchmark"] for row in reduction.scenarios.to_pylist() if row["on_frontier"]}
    assert on == {"sums", "facts"}
    asked = {row["benchmark"]: row["n_questions"] for row in reduction.scenarios.to_pylist()}
    assert asked == {"sums": 2, "facts": 3}


def test_a_forks_answer_is_generated_beside_its_trace_and_an_unforced_one_within_it(store):
    def forked(question_id: str, index: int) -> dict:
        """Thinks 15 tokens: closed by force at SHORT, and by itself before LONG."""
        answers = [
            answer(SHORT, "right", forced=True, thinking_tokens=10, answer_tokens=2),
            answer(LONG, "right", forced=False, thinking_tokens=15, answer_tokens=3),
        ]
        return sample(question_id, index, {}, trace_tokens=18, answers=answers)

    generate(sweep_of(), store, [forked(f"sums-{q}", i) for q in range(2) for i in range(4)])
    reduction = reduce_run(sweep_of(), store)
    assert reduction.summary["tokens_generated"] == 8 * (18 + 2)
    groups, questions = 1 + 2 + 4, 2
    alone = groups * questions * ((10 + 2) + (15 + 3))
    assert reduction.summary["tokens_one_run_per_scenario"] == alone
    assert rows_at(reduction, SHORT)[1]["mean_trace_tokens"] == 10
    assert rows_at(reduction, LONG)[1]["mean_trace_tokens"] == 15


@pytest.mark.parametrize(("thinking", "decoded"), [(5, 2), (10, 2 + 2), (12, 2 + 2)])
def test_an_answer_after_the_end_of_the_text_is_generated_once_for_all_budgets_that_it_serves(
    thinking: int, decoded: int, store
):
    """It serves both budgets, or the larger one beside the fork at SHORT = 10."""

    def ended(question_id: str, index: int) -> dict:
        answers = [
            answer(
                budget, "right", forced=True, thinking_tokens=min(budget, thinking), answer_tokens=2
            )
            for budget in (SHORT, LONG)
        ]
        return sample(question_id, index, {}, trace_tokens=thinking + 1, answers=answers)

    assert SHORT == 10 and LONG > 12
    generate(sweep_of(), store, [ended(f"sums-{q}", i) for q in range(2) for i in range(4)])
    generated = reduce_run(sweep_of(), store).summary["tokens_generated"]
    assert generated == 8 * (thinking + 1 + decoded)


def test_the_summary_keeps_what_the_other_stages_wrote(store):
    generate(sweep_of(), store, MIXED)
    store.write_text("summary.json", json.dumps({"wall_s": 12.5, "samples": 999}))
    reduction = reduce_run(sweep_of(), store)
    summary = json.loads(store.read_text("summary.json"))
    assert summary.items() >= {"wall_s": 12.5, **reduction.summary}.items()
    assert (summary["engines"], summary["samples"], summary["scenarios"]) == (1, 8, 6)


def test_how_traces_ended_is_counted(tmp_path: Path):
    config, store = sweep_of(), Store(str(tmp_path))
    ends = ("stop", "loop", "budget", "loop")
    samples = [{**row, "finish": ends[row["sample_index"]]} for row in MIXED]
    generate(config, store, samples)
    finishes = reduce_run(config, store).summary["finishes"]
    assert finishes == {"stop": 2, "loop": 4, "budget": 2}

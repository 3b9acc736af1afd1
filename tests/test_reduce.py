"""Reducing hand-made samples whose results are known, and what happens when some are missing."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from actors.kv.full import Full
from actors.kv.streaming_llm import StreamingLLM
from raysweep import memory
from raysweep.plan import engines, make_plan
from raysweep.reduce import Reduction, reduce_run
from raysweep.spec import (
    Architecture,
    Benchmark,
    Cluster,
    Family,
    Generation,
    ModelSpec,
    Prepare,
    Question,
    RunConfig,
    Sampling,
    Shard,
    Sweep,
    WeightSpec,
    content_hash,
)
from raysweep.store import Part, Store
from raysweep.tables import FRONTIER, SAMPLES, SCENARIOS

SHORT, LONG = 10, 20  # token budgets
PROMPT, THINKING, ANSWER = 7, 8, 3  # tokens of every sample, unless it says otherwise
NO_VOTE = ("unanswered", "cut_off", "error")

MODEL = ModelSpec(
    name="toy",
    family=Family("toys", Sampling(temperature=1.0)),
    path="models/toy",
    revision="1",
    architecture=Architecture(
        hidden_size=8,
        layers=2,
        heads=2,
        kv_heads=1,
        head_dim=4,
        intermediate_size=16,
        vocab_size=32,
        tied_embeddings=True,
        context=64,
    ),
)


def benchmark(name: str, questions: int) -> Benchmark:
    rows = tuple(Question(f"{name}-{i}", f"{name} {i}?", "right") for i in range(questions))
    return Benchmark(name, rows, grader="letter", answer_opener="=", answer_tokens=4)


SUMS = benchmark("sums", 2)


def sweep_of(samples: int = 4, group_sizes: tuple[int, ...] = (1, 2, 4), **changes) -> RunConfig:
    """A run of one engine on two questions, one shard a question and two samples."""
    grid = Sweep(
        models=(MODEL,),
        weights=(WeightSpec("bf16", 16),),
        kv_policies=(Full(),),
        benchmarks=(SUMS,),
        token_budgets=(SHORT, LONG),
        group_sizes=group_sizes,
        batch_sizes=(1, 16),
        samples=samples,
        backend="fake",
    )
    return RunConfig(
        out="out",
        run="test",
        seed=0,
        stages=("reduce",),
        sweep=replace(grid, **changes),
        prepare=Prepare("checkpoints", None),
        generation=Generation(max_rows=8, shard_questions=1, shard_samples=2, max_attempts=1),
        cluster=Cluster("local", 1, 1.0, 0.0),
    )


def sample(question_id: str, index: int, says: Mapping[int, str], **changes) -> dict:
    """A sample that at each budget says "right", something else, or one of NO_VOTE."""
    return {
        "question_id": question_id,
        "sample_index": index,
        "prompt_tokens": PROMPT,
        "trace_tokens": THINKING + ANSWER,
        "answers": [answer(token_budget, said) for token_budget, said in says.items()],
        **changes,
    }


def answer(token_budget: int, said: str, **changes) -> dict:
    outcome = said if said in NO_VOTE else "correct" if said == "right" else "wrong"
    return {
        "token_budget": token_budget,
        "thinking_tokens": THINKING,
        "forced": False,
        "answer": None if said in NO_VOTE else said,
        "outcome": outcome,
        "answer_tokens": ANSWER,
        **changes,
    }


def polls(at_long: Mapping[str, Iterable[str]]) -> list[dict]:
    """Samples that say these things at the long budget, and always "right" at the short one."""
    return [
        sample(question_id, index, {SHORT: "right", LONG: said})
        for question_id, sayings in at_long.items()
        for index, said in enumerate(sayings)
    ]


def write_part(store: Store, shard: Shard, samples: Iterable[dict]) -> None:
    questions = {question.question_id: content_hash(question) for question in shard.questions}
    indices = range(shard.sample_start, shard.sample_start + shard.sample_count)
    rows = [
        {**row, "benchmark": shard.benchmark}
        for row in samples
        if row["question_id"] in questions and row["sample_index"] in indices
    ]
    part = Part(
        shard.engine.engine_id,
        shard.shard_id,
        shard.stream_id,
        questions,
        shard.sample_start,
        shard.sample_count,
    )
    store.write_part(part, pa.Table.from_pylist(rows, schema=SAMPLES))


def to_do(config: RunConfig, store: Store) -> tuple[Shard, ...]:
    return make_plan(config, store.parts()).to_do


def generate(config: RunConfig, store: Store, samples: Iterable[dict], lost: int = 0) -> None:
    """Write every missing shard but the last `lost` ones."""
    shards = to_do(config, store)
    for shard in shards[: len(shards) - lost]:
        write_part(store, shard, samples)


def rows_at(reduction: Reduction, token_budget: int) -> dict[int, dict]:
    """The scenarios of that budget by group size."""
    rows = reduction.scenarios.to_pylist()
    return {row["group_size"]: row for row in rows if row["token_budget"] == token_budget}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


MIXED = polls(
    {
        "sums-0": ("right", "right", "12", "13"),  # two against two that disagree
        "sums-1": ("right", "7", "7", "cut_off"),  # one against two that agree
    }
)


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


def whole_shard(config: RunConfig) -> Shard:
    engine = engines(config)[0]
    decoding = config.decoding(MODEL, SUMS)
    return Shard(engine, SUMS.name, SUMS.grader, decoding, SUMS.questions, 0, config.sweep.samples)


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


def test_the_summary_says_what_forks_computed_again_and_how_many_samples_a_batch_may_change(store):
    config = sweep_of(samples=2, group_sizes=(1,))
    cached = {"reused_tokens": 30, "recomputed_tokens": 10, "reproducible": "seeded"}
    shards = make_plan(config, []).to_do
    for shard, more in zip(shards, (cached, {"reproducible": "batch_invariant"}), strict=True):
        rows = [
            sample(question.question_id, index, {SHORT: "right", LONG: "right"}, **more)
            for question in shard.questions
            for index in range(2)
        ]
        write_part(store, shard, rows)
    summary = reduce_run(config, store).summary
    shares = {"fork_tokens": 80, "recomputed_tokens": 20, "recomputed_share": 0.25}
    assert summary["prefix_cache"] == shares
    assert summary["samples_that_a_batch_may_change"] == 2


def test_the_summary_keeps_what_the_other_stages_wrote(store):
    generate(sweep_of(), store, MIXED)
    store.write_text("summary.json", json.dumps({"wall_s": 12.5, "samples": 999}))
    reduction = reduce_run(sweep_of(), store)
    summary = json.loads(store.read_text("summary.json"))
    assert summary == {"wall_s": 12.5, **reduction.summary}
    assert (summary["engines"], summary["samples"], summary["scenarios"]) == (1, 8, 6)


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


def test_an_outcome_that_is_not_in_the_contract_is_an_error(store):
    odd = [{**row, "answers": [answer(LONG, "right", outcome="maybe")]} for row in MIXED]
    generate(sweep_of(), store, odd)
    with pytest.raises(ValueError, match="maybe"):
        reduce_run(sweep_of(), store)

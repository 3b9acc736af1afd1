"""A plan has each wanted sample once, whatever was finished before."""

import itertools
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nouns import a_benchmark, a_model, a_run_config, some_questions
from support.parts import parts_of

from actors.kv.full import Full
from actors.kv.streaming_llm import StreamingLLM
from raysweep.errors import ConfigError
from raysweep.planning import backends
from raysweep.planning.cutting import runs
from raysweep.planning.estimate import estimates
from raysweep.planning.grid import engines
from raysweep.planning.plan import Plan, make_plan
from raysweep.planning.plan_tables import engines_table, plan_table
from raysweep.run_config import RunConfig
from raysweep.shard import cells
from raysweep.storage.part import Part

SAMPLES, QUESTIONS = st.integers(1, 7), st.integers(1, 5)
SIZES = st.fixed_dictionaries(
    {"shard_questions": st.integers(1, 4), "shard_samples": st.integers(1, 4)}
)


def planned_cells(plan: Plan) -> Counter:
    """How often the plan's rows name each (engine, benchmark, question, sample index)."""
    return Counter(
        (row.engine_id, row.benchmark, question_id, index)
        for row in plan.shards
        for question_id in row.question_ids
        for index in range(row.sample_start, row.sample_start + row.sample_count)
    )


def wanted_cells(config: RunConfig) -> Counter:
    return Counter(
        (engine.engine_id, benchmark.name, question.question_id, index)
        for engine in engines(config)
        for benchmark in config.sweep.benchmarks
        for question in benchmark.questions
        for index in range(config.sweep.samples)
    )


def cells_to_do(plan: Plan) -> set[tuple[str, int]]:
    return {cell for shard in plan.to_do for cell in cells(shard)}


def a_config(samples: int, questions: int, sizes: dict[str, int], **changes) -> RunConfig:
    return a_run_config(
        samples=samples, benchmarks=(a_benchmark(questions),), group_sizes=(1,), **sizes, **changes
    )


@settings(deadline=None)
@given(SAMPLES, QUESTIONS, SIZES)
def test_every_sample_of_a_new_run_is_planned_once_in_shards_of_the_configured_size(
    samples, questions, sizes
):
    config = a_config(samples, questions, sizes, kv_policies=(Full(), StreamingLLM(2, 4)))
    plan = make_plan(config, [])
    assert planned_cells(plan) == wanted_cells(config)
    assert len({shard.shard_id for shard in plan.to_do}) == len(plan.shards)
    for shard in plan.to_do:
        assert len(shard.questions) <= sizes["shard_questions"]
        assert shard.sample_count <= sizes["shard_samples"]


@settings(deadline=None)
@given(st.data(), SIZES, SIZES, QUESTIONS, QUESTIONS, SAMPLES, SAMPLES)
def test_every_sample_is_planned_once_whatever_part_of_another_cutting_is_finished(
    data, sizes, other_sizes, questions, other_questions, samples, other_samples
):
    before = make_plan(a_config(other_samples, other_questions, other_sizes), []).to_do
    finished = data.draw(st.lists(st.sampled_from(before), unique_by=lambda s: s.shard_id))
    config = a_config(samples, questions, sizes)
    plan = make_plan(config, parts_of(finished))

    done = {cell for shard in finished for cell in cells(shard)}
    wanted = {(question_id, index) for *_, question_id, index in wanted_cells(config)}
    assert cells_to_do(plan) == wanted - done
    counted = planned_cells(plan)
    assert all(counted[cell] == 1 for cell in wanted_cells(config))


@settings(deadline=None)
@given(st.data(), SIZES, QUESTIONS, SAMPLES)
def test_going_on_after_a_crash_makes_the_shards_that_were_left_and_no_others(
    data, sizes, questions, samples
):
    config = a_config(samples, questions, sizes)
    shards = make_plan(config, []).to_do
    finished = data.draw(st.lists(st.sampled_from(shards), unique_by=lambda s: s.shard_id))
    plan = make_plan(config, parts_of(finished))
    assert Counter(plan.to_do) == Counter(shards) - Counter(finished)
    assert {row.shard_id for row in plan.shards} == {shard.shard_id for shard in shards}


def test_raising_the_samples_plans_only_the_difference():
    finished = make_plan(a_run_config(samples=4), []).to_do
    plan = make_plan(a_run_config(samples=7), parts_of(finished))
    assert {index for _, index in cells_to_do(plan)} == {4, 5, 6}
    assert sum(shard.samples for shard in plan.to_do) == 3 * 3


def test_a_finished_part_with_more_samples_than_wanted_is_kept_and_not_cut_anew():
    finished = make_plan(a_run_config(samples=4, shard_samples=4), []).to_do
    plan = make_plan(a_run_config(samples=3, shard_samples=4), parts_of(finished))
    assert plan.to_do == ()
    assert [row.shard_id for row in plan.shards] == [shard.shard_id for shard in finished]
    assert {row.sample_count for row in plan.shards} == {4}


def test_a_part_of_which_nothing_is_wanted_is_no_row_of_the_plan():
    finished = make_plan(a_run_config(samples=4, shard_samples=2), []).to_do
    plan = make_plan(a_run_config(samples=2), parts_of(finished))
    assert plan.to_do == ()
    assert {row.sample_start for row in plan.shards} == {0}


def test_a_part_whose_samples_are_all_in_other_parts_is_no_row_of_the_plan():
    coarse = make_plan(a_run_config(samples=4, shard_samples=4), []).to_do
    fine = make_plan(a_run_config(samples=4, shard_samples=2), []).to_do
    plan = make_plan(a_run_config(samples=4), parts_of([*coarse, *fine]))
    assert [row.shard_id for row in plan.shards] == [shard.shard_id for shard in coarse]


def test_a_changed_question_is_planned_again_and_its_old_samples_no_longer_count():
    finished = make_plan(a_run_config(), []).to_do
    first, *others = some_questions(3)
    changed = a_benchmark(questions=(replace(first, prompt="Something else?"), *others))
    plan = make_plan(a_run_config(benchmarks=(changed,)), parts_of(finished))
    assert cells_to_do(plan) == {(first.question_id, index) for index in range(4)}
    kept = [row for row in plan.shards if row.shard is None]
    assert first.question_id not in {key for row in kept for key in row.question_ids}


def test_the_samples_of_another_stream_do_not_count():
    finished = parts_of(make_plan(a_run_config(), []).to_do)
    elsewhere = [
        a_run_config(seed=1),
        a_run_config(token_budgets=(4, 16)),
        a_run_config(models=(a_model(revision="2"),)),
        a_run_config(kv_policies=(StreamingLLM(2, 4),)),
    ]
    for config in elsewhere:
        assert sum(shard.samples for shard in make_plan(config, finished).to_do) == 12


def test_another_grader_or_folder_of_the_model_does_not_make_samples_again():
    finished = parts_of(make_plan(a_run_config(), []).to_do)
    moved = a_run_config(
        models=(a_model(path="/elsewhere"),), benchmarks=(a_benchmark(grader="choice"),)
    )
    assert make_plan(moved, finished).to_do == ()


def as_made_by(backend: str, **changes) -> tuple[RunConfig, list[Part]]:
    """A configuration with `auto`, and parts that a backend made for it."""
    shards = make_plan(a_run_config(backend=backend, **changes), []).to_do
    return a_run_config(backend="auto", **changes), parts_of(shards)


def test_auto_goes_on_with_the_backend_that_made_the_folders_samples(monkeypatch):
    monkeypatch.setattr(backends, "vllm_installed", lambda: False)
    config, made = as_made_by("vllm")
    plan = make_plan(config, made)
    assert {engine.backend for engine in plan.engines} == {"vllm"}
    assert plan.to_do == ()
    assert [choice.reason for choice in plan.backends] == ["made the samples in this folder"]
    assert {engine.backend for engine in make_plan(config, []).engines} == {"torch"}


def test_another_backend_in_the_folder_of_one_is_refused_not_mixed():
    _, made = as_made_by("vllm")
    with pytest.raises(ConfigError) as raised:
        make_plan(a_run_config(backend="torch"), made)
    assert str(raised.value).startswith(
        "sweep.backend: 'torch' cannot continue the samples of toy.bf16.full"
    )
    assert "which 'vllm' made; write that or auto, or choose another run=NAME" in str(raised.value)


def test_the_same_configuration_and_folder_give_the_same_bytes():
    config = a_run_config(models=(a_model("a"), a_model("b", layers=3)))
    finished = parts_of(make_plan(config, []).to_do[::3])

    def bytes_of(table: pa.Table) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    def tables() -> list[bytes]:
        planned = make_plan(config, finished)
        costs = estimates(config, planned)
        return [
            bytes_of(engines_table(config, costs)),
            bytes_of(plan_table(config, planned, costs)),
        ]

    assert tables() == tables()


def test_engines_are_the_whole_grid_with_their_bytes_and_tokens():
    config = a_run_config(
        models=(a_model("a"), a_model("b", layers=3)), kv_policies=(Full(), StreamingLLM(2, 4))
    )
    rows = engines_table(config, estimates(config, make_plan(config, []))).to_pylist()
    assert [row["engine_id"] for row in rows] == [
        *("a.bf16.full", "a.bf16.streaming_llm-6-s2"),
        *("b.bf16.full", "b.bf16.streaming_llm-6-s2"),
    ]
    assert rows[1]["kv_params"] == '{"sinks": 2, "window": 4}'
    assert rows[2]["kv_bytes_per_token"] == 3 * 1 * 4 * 2 * 2
    assert rows[0]["weights_bytes"] == 2 * rows[0]["params"]
    # A trace takes 8 tokens at most, and an answer of 4 at each of the two budgets.
    assert rows[0]["est_tokens"] == 3 * 4 * (8 + 2 * 4)


@settings(deadline=None)
@given(st.sets(st.integers(0, 12)))
def test_runs_cover_the_indices_and_never_touch(indices):
    found = list(runs(sorted(indices)))
    assert [i for first, count in found for i in range(first, first + count)] == sorted(indices)
    assert all(a + n < b for (a, n), (b, _) in itertools.pairwise(found))


def test_samples_of_a_server_are_continued_by_no_other_backend():
    config, made = as_made_by("server")
    with pytest.raises(ConfigError, match="which 'server' made; write that, or choose another"):
        make_plan(config, made)

"""A plan of an adaptive run: what is wanted up to fewer token budgets, and lengthened later, cell by cell."""

from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nouns import a_benchmark, a_model, a_run_config
from support.parts import parts_of

from actors.kv.full import Full
from actors.kv.streaming_llm import StreamingLLM
from raysweep.errors import ConfigError
from raysweep.planning import backends
from raysweep.planning.demand import Segment, everything
from raysweep.planning.estimate import estimates
from raysweep.planning.grid import control_of, engines, made_streams, whole_stream
from raysweep.planning.plan import Plan, PlannedShard, make_plan
from raysweep.progress.status import by_engine
from raysweep.run_config import RunConfig
from raysweep.shard import Cell, Shard, cells
from raysweep.storage.part_file import place_of
from raysweep.upkeep.regrade import wanted_parts
from raysweep.upkeep.verify import check_doubles

SAMPLES, BUDGETS = 6, (4, 8, 16)
ENGINE, BENCHMARK = "toy.bf16.full", "sums"


def a_config(**changes) -> RunConfig:
    usual = {"samples": SAMPLES, "token_budgets": BUDGETS, "shard_questions": 2, "shard_samples": 2}
    return a_run_config(**{**usual, **changes})


def budgets_of(shard: Shard) -> int:
    return len(shard.decoding.token_budgets)


def wanting(*segments: tuple[int, int, int]) -> dict[tuple[str, str], tuple[Segment, ...]]:
    return {(ENGINE, BENCHMARK): tuple(Segment(*each) for each in segments)}


@st.composite
def some_segments(draw: st.DrawFn) -> tuple[Segment, ...]:
    """Segments that follow each other; none may be wanted, or some in the middle not."""
    bounds = sorted(draw(st.sets(st.integers(0, SAMPLES))))
    found = [Segment(a, b, draw(st.integers(1, len(BUDGETS)))) for a, b in pairwise(bounds)]
    return tuple(segment for segment in found if draw(st.integers(0, 4)))


FINISHED = st.lists(st.tuples(some_segments(), st.integers(1, 3), st.integers(1, 3)), max_size=4)


def finished_shards(draws, keep: st.DataObject) -> list[Shard]:
    """Some shards of plans with other demands and other cuts."""
    found: dict[str, Shard] = {}
    for segments, questions, samples in draws:
        config = a_config(shard_questions=questions, shard_samples=samples)
        demands = {(ENGINE, BENCHMARK): segments}
        made = make_plan(config, [], demands).to_do
        if made:
            chosen = keep.draw(st.lists(st.sampled_from(made), unique_by=lambda s: s.shard_id))
            found |= {shard.shard_id: shard for shard in chosen}
    return list(found.values())


def most_budgets(shards: list[Shard]) -> dict[Cell, int]:
    held: dict[Cell, int] = defaultdict(int)
    for shard in shards:
        for cell in cells(shard):
            held[cell] = max(held[cell], budgets_of(shard))
    return held


def row_cells(row: PlannedShard) -> list[Cell]:
    indices = range(row.sample_start, row.sample_start + row.sample_count)
    return [(question_id, index) for question_id in row.question_ids for index in indices]


@settings(deadline=None, max_examples=200)
@given(FINISHED, some_segments(), st.data())
def test_a_cell_is_planned_once_if_no_part_has_it_up_to_as_many_budgets(draws, segments, data):
    made = finished_shards(draws, data)
    config, held = a_config(), most_budgets(made)
    parts = data.draw(st.permutations(parts_of(made)))
    plan = make_plan(config, parts, {(ENGINE, BENCHMARK): segments})
    wanted = {
        (question.question_id, index): segment.budgets
        for segment in segments
        for question in config.sweep.benchmarks[0].questions
        for index in range(segment.start, segment.stop)
    }
    expected = {cell: k for cell, k in wanted.items() if held[cell] < k}
    to_do = [(cell, budgets_of(shard)) for shard in plan.to_do for cell in cells(shard)]
    assert Counter(to_do) == Counter(expected.items())
    for shard in plan.to_do:
        assert len(shard.questions) <= 2 and shard.sample_count <= 2
        whole = whole_stream(config, shard.engine, config.sweep.benchmarks[0], budgets_of(shard))
        assert shard.stream_id == whole.stream_id


@settings(deadline=None, max_examples=200)
@given(FINISHED, some_segments(), st.data())
def test_finished_rows_hold_all_that_was_made_and_none_of_them_is_in_vain(draws, segments, data):
    made = finished_shards(draws, data)
    by_id, held = {shard.shard_id: shard for shard in made}, most_budgets(made)
    plan = make_plan(a_config(), parts_of(made), {(ENGINE, BENCHMARK): segments})
    rows = [row for row in plan.shards if row.shard is None]
    assert most_budgets([by_id[row.shard_id] for row in rows]) == held
    for row in rows:
        others = [by_id[other.shard_id] for other in rows if other is not row]
        longer = most_budgets(
            [s for s in others if budgets_of(s) > budgets_of(by_id[row.shard_id])]
        )
        assert any(cell not in longer for cell in row_cells(row))


@settings(deadline=None, max_examples=200)
@given(FINISHED, some_segments(), st.data())
def test_a_missing_shard_names_the_parts_that_have_its_samples_up_to_fewer_budgets(
    draws, segments, data
):
    made = finished_shards(draws, data)
    held = most_budgets(made)
    plan = make_plan(a_config(), parts_of(made), {(ENGINE, BENCHMARK): segments})
    places = {place_of(part): shard for part, shard in zip(parts_of(made), made, strict=True)}
    for shard in plan.to_do:
        own = set(cells(shard))
        covered = most_budgets([places[place] for place in shard.shorter])
        assert all(covered[cell] == held[cell] for cell in own)
        assert all(own & set(cells(places[place])) for place in shard.shorter)
    again = {cell for shard in plan.to_do for cell in cells(shard) if held[cell]}
    assert sum(row.again for row in plan.shards) == len(again)


def test_without_demands_everything_is_wanted_and_shards_keep_their_names():
    config = a_config(models=(a_model("toy"), a_model("other", layers=3)))
    plan = make_plan(config, [])
    assert make_plan(config, [], {}) == plan
    assert make_plan(config, [], {(ENGINE, BENCHMARK): everything(config.sweep)}) == plan
    whole = make_plan(config, [], wanting((0, 2, 3))).to_do
    assert {shard.shard_id for shard in whole} < {shard.shard_id for shard in plan.to_do}


def test_nothing_is_wanted_of_an_engine_that_never_starts_but_its_samples_count():
    config = a_config()
    made = make_plan(config, [], wanting((0, 2, 1))).to_do
    plan = make_plan(config, parts_of(made), wanting())
    assert plan.to_do == ()
    assert [row.shard_id for row in plan.shards] == [shard.shard_id for shard in made]


def test_a_control_follows_the_demands_of_its_own_name():
    config = a_config(
        backend="auto",
        control=True,
        kv_policies=(Full(), StreamingLLM(4, 60)),
        gpus_per_actor=1.0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "vllm_installed", lambda: True)
        name = control_of(engines(config)[0]).engine_id
        plan = make_plan(config, [], {(name, BENCHMARK): (Segment(0, 1, 1),)})
    counted = Counter()
    for shard in plan.to_do:
        counted[shard.engine.engine_id, budgets_of(shard)] += shard.samples
    assert counted[name, 1] == 3 and counted[ENGINE, 3] == 3 * SAMPLES


def test_a_shorter_stream_shows_which_backend_made_the_samples():
    made = make_plan(a_config(backend="vllm"), [], wanting((0, 4, 1))).to_do
    plan = make_plan(a_config(backend="auto"), parts_of(made), wanting((0, 4, 1)))
    assert {engine.backend for engine in plan.engines} == {"vllm"} and plan.to_do == ()
    with pytest.raises(ConfigError, match="which 'vllm' made"):
        make_plan(a_config(backend="torch"), parts_of(made))


def test_streams_are_found_by_their_names_however_few_budgets_they_have():
    config = a_config()
    engine, benchmark = engines(config)[0], config.sweep.benchmarks[0]
    by_budgets = (whole_stream(config, engine, benchmark, budgets) for budgets in (3, 2, 1))
    streams = {stream.stream_id: stream for stream in by_budgets}
    assert [budgets_of(stream) for stream in streams.values()] == [3, 2, 1]
    found = made_streams(config, [engine], [*reversed(streams), "of-another-run"])
    assert list(found.items()) == list(streams.items())


def lengthened() -> tuple[RunConfig, list[Shard], Plan]:
    """Four samples up to the smallest budget, and the plan that wants the first two up to all."""
    config = a_config(benchmarks=(a_benchmark(2),))
    made = list(make_plan(config, [], wanting((0, 4, 1))).to_do)
    return config, made, make_plan(config, parts_of(made), wanting((0, 2, 3), (2, 4, 1)))


def test_a_sample_that_is_made_again_is_wanted_once():
    _, made, plan = lengthened()
    assert [shard.shorter for shard in plan.to_do] == [(place_of(parts_of(made)[0]),)]
    (status,) = by_engine(plan)
    assert (status.samples, status.wanted, status.shards_left) == (4, 8, 1)


def test_the_tokens_of_shorter_samples_are_those_of_their_own_budgets():
    config, _, plan = lengthened()
    answer = config.sweep.benchmarks[0].answer_tokens
    (cost,) = estimates(config, plan)
    long, short = 4 * (16 + 3 * answer), 8 * (4 + answer)
    assert (cost.to_do.at_most, cost.whole.at_most) == (long, long + short)


def test_shorter_parts_are_regraded_and_verified_with_the_others():
    config, made, plan = lengthened()
    parts = parts_of([*made, *plan.to_do])
    assert [wanted.part for wanted in wanted_parts(config, parts)] == parts
    assert list(check_doubles(parts)) == []
    twice = parts_of(make_plan(config, [], wanting((1, 3, 1))).to_do)
    (problem,) = check_doubles([parts[0], *twice])
    assert "2 of its samples are also in" in problem.text

"""The cost of a plan against sums written out, and the text about it."""

from dataclasses import replace
from typing import Any

import pytest
from support.nouns import a_model, a_run_config

from raysweep.planning.estimate import Estimate, estimates
from raysweep.planning.fit import placed
from raysweep.planning.lengths import run_lengths
from raysweep.planning.plan import Plan, make_plan
from raysweep.planning.plan_tables import engines_table, plan_table
from raysweep.planning.speed import speed
from raysweep.reporting.plan_text import engines_table as cost_table
from raysweep.reporting.plan_text import plan_lines
from raysweep.run_config import Gpu, Pool, RunConfig
from raysweep.spec import EngineSpec
from raysweep.storage.part import Part

FAST = Gpu("fast", 8 * 10**9, 2e12, 1e14, "F1", usd_per_hour=8.0)
CHEAP = Gpu("cheap", 8 * 10**9, 1e12, 5e13, usd_per_hour=1.0)
SMALL = Gpu("small", 10**9, 1e12, 5e13, usd_per_hour=0.1)  # CUDA alone takes more than that
T4 = Gpu("t4-16", 16 * 10**9, 3e11, 6e13, "T4", usd_per_hour=0.1)
AT_MOST = 8 + 2 * 4  # tokens of a sample: the largest budget, and an answer at each of two
SAMPLES = 3 * 4


def on(*pools: Pool, **changes: Any) -> RunConfig:
    """An `auto` cluster of these pools, where the memory model decides the GPUs per actor."""
    models = (a_model("a"), a_model("b", layers=40))
    return a_run_config(
        **{"pools": pools, "gpus_per_actor": None, "models": models, "actors": None, **changes}
    )


def part_of(config: RunConfig, plan: Plan, index: int, **noted: Any) -> Part:
    """The finished part of a shard of the plan."""
    shard = plan.to_do[index]
    questions = {question.question_id: question.asked for question in shard.questions}
    where = (shard.engine.engine_id, shard.shard_id, shard.stream_id, questions)
    return Part(*where, shard.sample_start, shard.sample_count, **noted)


def costs_of(config: RunConfig, *parts: Part) -> list[Estimate]:
    return list(estimates(config, make_plan(config, parts)))


def token_s(config: RunConfig, engine: EngineSpec, gpu: Gpu | None) -> tuple[float, float, float]:
    """Seconds per token, GPUs, and seconds to load, from the cost model alone."""
    fit = placed(engine, gpu, config.generation.max_rows, run_lengths(config))
    assert fit is not None
    found = speed(engine, gpu, fit, run_lengths(config).trace)
    return 1 / found.tokens_s(), fit.gpus, found.load_s


def test_gpu_hours_are_tokens_and_a_load_on_the_share_of_a_gpu():
    config = on(Pool(FAST))
    for cost in costs_of(config):
        seconds, gpus, load_s = token_s(config, cost.engine, FAST)
        assert 0 < gpus < 1
        expected = (SAMPLES * AT_MOST * seconds + load_s) * gpus / 3600
        assert cost.gpu_hours(cost.whole) == cost.gpu_hours(cost.to_do) == pytest.approx(expected)


def test_an_engine_is_counted_where_its_tokens_are_cheapest():
    kinds = on(Pool(FAST), Pool(SMALL), Pool(CHEAP))
    assert {c.placement.gpu.name for c in costs_of(kinds) if c.placement and c.placement.gpu} == {
        "cheap"
    }
    free = on(Pool(replace(FAST, usd_per_hour=0)), Pool(replace(CHEAP, usd_per_hour=0)))
    assert {c.placement.gpu.name for c in costs_of(free) if c.placement and c.placement.gpu} == {
        "fast"
    }


def test_finished_parts_say_how_long_traces_are_and_how_slow_engines():
    config = on(Pool(FAST))
    plan = make_plan(config, [])
    modelled_s, gpus, load_s = token_s(config, plan.engines[0], FAST)
    # Four samples of `a` took 8 tokens each, in three times the modelled time.
    part = part_of(config, plan, 0, tokens=32, engine_s=32 * 3 * modelled_s, device="F1")
    a, b = costs_of(config, part)
    assert (a.slowness, b.slowness) == (pytest.approx(3), pytest.approx(3))
    assert (a.whole.expected, a.to_do.expected) == (SAMPLES * 8, (SAMPLES - 4) * 8)
    assert (a.whole.at_most, a.to_do.at_most) == (SAMPLES * AT_MOST, (SAMPLES - 4) * AT_MOST)
    assert b.to_do.expected == SAMPLES * 8
    expected = (8 * 8 * modelled_s * 3 + load_s) * gpus / 3600
    assert a.gpu_hours(a.to_do) == pytest.approx(expected)


def test_what_another_device_took_says_nothing_of_this_one():
    config = on(Pool(FAST))
    part = part_of(config, make_plan(config, []), 0, tokens=32, engine_s=1e6, device="T4")
    assert [cost.slowness for cost in costs_of(config, part)] == [1.0, 1.0]


def test_what_is_finished_costs_nothing_more():
    config = on(Pool(FAST), models=(a_model("a"),))
    plan = make_plan(config, [])
    (a,) = costs_of(config, *(part_of(config, plan, index) for index in range(4)))
    assert a.gpu_hours(a.to_do) == 0
    assert (a.gpu_hours(a.whole) or 0) > 0


def test_without_a_kind_of_gpu_there_are_no_gpu_hours_but_what_was_measured_counts():
    config = on(gpus_per_actor=0.0)
    plan = make_plan(config, [])
    seconds, _, _ = token_s(config, plan.engines[0], None)
    part = part_of(config, plan, 0, tokens=32, engine_s=32 * 2 * seconds)
    a, _ = costs = costs_of(config, part)
    assert a.gpu_hours(a.whole) is None and a.slowness == pytest.approx(2)
    assert {row["gpus"] for row in engines_table(config, costs).to_pylist()} == {0.0}


def test_the_tables_say_the_gpus_of_each_engine_and_none_where_it_fits_nowhere():
    config = on(Pool(FAST))
    plan = make_plan(config, [])
    shares = {cost.engine.engine_id: cost.placement for cost in costs_of(config)}
    rows = plan_table(config, plan, costs_of(config)).to_pylist()
    for row in rows:
        place = shares[row["engine_id"]]
        assert place is not None and row["gpus"] == place.fit.gpus
    nowhere = on(Pool(SMALL))
    (a, b) = engines_table(nowhere, costs_of(nowhere)).to_pylist()
    assert a["gpus"] is b["gpus"] is a["est_gpu_hours"] is b["est_gpu_hours"] is None


def test_an_actor_gets_no_more_gpus_than_there_are():
    # Weights that a single GPU cannot hold beside what CUDA takes.
    wide = replace(a_model("wide").architecture, hidden_size=4096, layers=60, heads=32, kv_heads=8)
    wide = replace(wide, head_dim=128, intermediate_size=12288)
    models = (replace(a_model("wide"), architecture=wide),)
    (two,) = costs_of(on(Pool(replace(FAST, memory_bytes=24 * 10**9), 8), models=models))
    assert two.placement is not None and two.placement.fit.gpus == 2
    (none,) = costs_of(on(Pool(replace(FAST, memory_bytes=24 * 10**9), 1), models=models))
    assert none.placement is None


# What is said


def said(config: RunConfig, *parts: Part, known: tuple[Gpu, ...] = ()) -> str:
    plan = make_plan(config, parts)
    costs = estimates(config, plan)
    return "\n".join(
        f"{line.label}: {line.text}" for line in plan_lines(config, plan, costs, known)
    )


def test_a_plan_says_amount_cost_and_time():
    config = on(Pool(FAST, 4), Pool(CHEAP))
    text = said(config)
    assert "plan: 8 scenarios from 2 engines; 8 of 8 shards, ≤ 384 tokens" in text
    assert "cost: cheap: 0.00" in text and "at $1 per hour" in text
    assert "fast" not in text  # nothing is cheaper there
    assert "nothing has been measured yet" in text
    assert "hours if 4 GPUs are always busy" in said(on(Pool(CHEAP, 4)))


def test_a_plan_says_what_is_done_and_what_that_teaches():
    config = on(Pool(FAST))
    plan = make_plan(config, [])
    part = part_of(config, plan, 0, tokens=32, engine_s=1.0, device="F1")
    text = said(config, part)
    assert "7 of 8 shards, ≤ 320 tokens" in text
    assert "done: 1 of 8 shards; the rest should take 160 tokens" in text
    assert "the slowness measured so far" in text


def test_a_plan_says_what_fits_nowhere_and_what_would():
    text = said(on(Pool(SMALL)), known=(FAST, CHEAP))
    assert "no room: 2 of 2 engines do not fit on small; the stage generate refuses them" in text
    assert "a.bf16.full: one sequence takes 1.5 GB with the weights, and a GPU has 1 GB; " in text
    assert "use 1 fast or 1 cheap" in text and "elsewhere they take" in text
    skipped = said(on(Pool(SMALL), unfit="skip"), known=(FAST, CHEAP))
    assert "the stage generate skips them" in skipped


@pytest.mark.parametrize("gpus", [None, 1.0])
@pytest.mark.parametrize("t4_first", [True, False])
def test_a_gpu_without_bf16_beside_others_is_left_unused_and_said(
    gpus: float | None, t4_first: bool
):
    def beside(gpu: Gpu) -> RunConfig:
        pools = (Pool(T4), Pool(gpu)) if t4_first else (Pool(gpu), Pool(T4))
        return on(*pools, backend="vllm", gpus_per_actor=gpus)

    text = said(beside(FAST))
    assert "cost: fast" in text and "no room" not in text
    assert "note: t4-16 has no bf16, in which vllm engines compute; no engine runs on it" in text
    # Its memory is not the reason that the engines do not fit on it.
    assert "with the weights, and a GPU has 1 GB; use 1 fast" in said(beside(SMALL), known=(FAST,))
    assert "bf16, in which" not in said(on(Pool(FAST), Pool(CHEAP), backend="vllm"))


def test_a_plan_for_cpus_says_nothing_of_gpus():
    assert "cost" not in said(on(gpus_per_actor=0.0))


def cells(config: RunConfig) -> list[list[str]]:
    table = cost_table(config, costs_of(config))
    return [[str(cell) for cell in column.cells] for column in table.columns]


def test_the_table_has_a_row_for_each_engine_or_for_many_of_each_model_and_precision():
    few = cells(on(Pool(FAST), Pool(CHEAP)))
    assert few[0] == ["a.bf16.full", "b.bf16.full"] and few[3] == ["cheap", "cheap"]
    from actors.kv.streaming_llm import StreamingLLM

    many = tuple(StreamingLLM(1, window) for window in range(1, 21))
    names, _, each, *_ = cells(on(Pool(FAST), kv_policies=many))
    assert names == ["a.bf16", "b.bf16"]
    assert all("–" in span for span in each)
    assert cells(on(Pool(SMALL)))[3] == ["none", "none"]

"""Every engine's lengths stand beside those of its model with the most bits and the full cache."""

import random
from collections import defaultdict
from dataclasses import replace
from math import log
from pathlib import Path
from statistics import geometric_mean, mean, stdev

import pytest
from support.hand_made_runs import (
    ANSWER,
    LONG,
    MODEL,
    SHORT,
    answer,
    benchmark,
    reduce_run,
    sample,
    sweep_of,
    to_do,
    write_part,
)

from actors.kv.full import Full
from actors.kv.streaming_llm import StreamingLLM
from raysweep.reducing.inflation_table import ENDINGS
from raysweep.reducing.reduce import Reduction
from raysweep.run_config import RunConfig
from raysweep.spec import BF16, Checkpoint, Forcing, WeightSpec
from raysweep.storage import result_files
from raysweep.storage.comparison_schemas import INFLATION
from raysweep.storage.store import Store

QUESTIONS = benchmark("sums", 12)
GPTQ4 = WeightSpec("gptq", 4, 128)
FILES = ((GPTQ4, Checkpoint("models/toy4", "1")),)
FINISHES = tuple(ENDINGS.values())
CONFIG = sweep_of(
    models=tuple(replace(MODEL, name=name, quantized=FILES) for name in ("toy", "doll")),
    weights=(GPTQ4, BF16),  # the order of a sweep is not that of the bits
    kv_policies=(StreamingLLM(4, 60), Full()),
    benchmarks=(QUESTIONS,),
)

# Samples by engine and question.
Drawn = dict[str, dict[str, list[dict]]]


def drawn(config: RunConfig, store: Store, left_out: tuple[str, str] = ("", "")) -> Drawn:
    """Write samples of random lengths and endings, and return them; one question of one engine may lack."""
    found: Drawn = defaultdict(lambda: defaultdict(list))
    for shard in to_do(config, store):
        rng = random.Random(shard.shard_id)
        for question in shard.questions:
            if (shard.engine.engine_id, question.question_id) == left_out:
                continue
            for index in range(shard.sample_start, shard.sample_start + shard.sample_count):
                one = random_sample(rng, question.question_id, index)
                found[shard.engine.engine_id][question.question_id].append(one)
        own = [row for rows in found[shard.engine.engine_id].values() for row in rows]
        if own:
            write_part(store, shard, own)
    return found


def random_sample(rng: random.Random, question_id: str, index: int) -> dict:
    """Its thinking is as long at each budget as the budget allows."""
    length = rng.randint(2, LONG)
    answers = [
        answer(budget, "right", thinking_tokens=min(length, budget)) for budget in (SHORT, LONG)
    ]
    finish = rng.choice(FINISHES)
    changes = {"answers": answers, "trace_tokens": length + ANSWER, "finish": finish}
    return sample(question_id, index, {}, **changes)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def rows_of(reduction: Reduction) -> dict[str, dict]:
    rows = reduction.tables[result_files.INFLATION].to_pylist()
    return {row["engine_id"]: row for row in rows}


def length(samples: list[dict]) -> float:
    """Mean thinking tokens at the largest budget."""
    return mean(row["answers"][-1]["thinking_tokens"] for row in samples)


def test_each_ratio_is_that_of_the_samples_one_by_one(store: Store):
    samples = drawn(CONFIG, store)
    reduction = reduce_run(CONFIG, store)
    rows = rows_of(reduction)
    assert set(rows) == set(samples) and len(rows) == 8
    for engine_id, row in rows.items():
        reference_id = f"{row['model']}.bf16.full"
        own, other = (
            [length(samples[name][q.question_id]) for q in QUESTIONS.questions]
            for name in (engine_id, reference_id)
        )
        assert row["reference_id"] == reference_id
        assert row["mean_tokens"] == pytest.approx(mean(own))
        assert row["reference_mean_tokens"] == pytest.approx(mean(other))
        assert row["ratio"] == pytest.approx(mean(own) / mean(other))
        deviations = [a / mean(own) - b / mean(other) for a, b in zip(own, other, strict=True)]
        error = stdev(deviations) / 12**0.5
        half = log(row["ratio_hi"] / row["ratio"])
        # Student's quantiles of eleven degrees of freedom, and of the fewest that are assumed, four.
        assert 2.200 * error <= half <= 2.777 * error
        assert row["ratio"] / row["ratio_lo"] == pytest.approx(row["ratio_hi"] / row["ratio"])
        assert (row["token_budget"], row["n_questions"], row["complete"]) == (LONG, 12, True)
    assert reduction.tables[result_files.INFLATION].schema == INFLATION
    assert store.read_table("inflation.parquet").num_rows == 8


def test_shares_say_how_the_traces_of_an_engine_and_its_reference_end(store: Store):
    samples = drawn(CONFIG, store)
    for engine_id, row in rows_of(reduce_run(CONFIG, store)).items():
        finishes = [one["finish"] for own in samples[engine_id].values() for one in own]
        shares = {name: finishes.count(finish) / 48 for name, finish in ENDINGS.items()}
        assert {name: row[name] for name in ENDINGS} == pytest.approx(shares)
        reference = [one["finish"] for own in samples[row["reference_id"]].values() for one in own]
        assert row["reference_cut"] == pytest.approx(reference.count("budget") / 48)
        assert row["reference_looped"] == pytest.approx(reference.count("loop") / 48)


def test_a_precision_and_a_policy_are_pooled_over_the_models_and_what_differs_in_both_is_not(
    store: Store,
):
    drawn(CONFIG, store)
    reduction = reduce_run(CONFIG, store)
    rows, found = rows_of(reduction), reduction.summary["inflation"]
    named = [(one["axis"], one["value"], one["reference"], one["models"]) for one in found]
    policy = StreamingLLM(4, 60).slug
    assert named == [("precision", "gptq4", "bf16", 2), ("kv_policy", policy, "full", 2)]
    for one, engine in zip(found, ("gptq4.full", f"bf16.{policy}"), strict=True):
        ratios = [rows[f"{model}.{engine}"]["ratio"] for model in ("toy", "doll")]
        assert one["ratio"] == pytest.approx(geometric_mean(ratios))
        assert one["ratio_lo"] < one["ratio"] < one["ratio_hi"] and one["compared"] == 2
        ends = [rows[f"{model}.{engine}"]["cut"] for model in ("toy", "doll")]
        assert one["cut"] == pytest.approx(mean(ends))


def test_only_questions_of_both_are_compared_and_the_row_says_that_it_is_incomplete(store: Store):
    samples = drawn(CONFIG, store, left_out=("toy.gptq4.full", "sums-3"))
    row = rows_of(reduce_run(CONFIG, store))["toy.gptq4.full"]
    common = [q.question_id for q in QUESTIONS.questions if q.question_id != "sums-3"]
    reference = mean(length(samples["toy.bf16.full"][name]) for name in common)
    assert (row["n_questions"], row["complete"]) == (11, False)
    assert row["reference_mean_tokens"] == pytest.approx(reference)


def test_without_a_full_cache_nothing_is_compared(store: Store):
    config = replace(CONFIG, sweep=replace(CONFIG.sweep, kv_policies=(StreamingLLM(4, 60),)))
    drawn(config, store)
    reduction = reduce_run(config, store)
    assert not rows_of(reduction) and reduction.summary["inflation"] == []


def test_where_an_extension_fills_every_budget_nobody_asks_how_long_models_think(store: Store):
    config = replace(CONFIG, sweep=replace(CONFIG.sweep, forcing=Forcing(extension="Wait")))
    drawn(config, store)
    reduction = reduce_run(config, store)
    assert not rows_of(reduction) and reduction.summary["inflation"] == []
    assert reduction.summary["thinking_fills_budgets"] is True

"""From samples to results: scenarios.parquet, frontier.parquet and the counts for summary.json.

The one idea: a scenario is computed, not run. Engine by engine the samples shrink to votes
(`tally`), the votes become rows (`scenarios`), and only votes and rows are ever in memory together.
A missing shard makes a result incomplete, never wrong: what is there is reduced, and what cannot be
said from it is listed as skipped.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raysweep import plan
from raysweep.errors import ConfigError
from raysweep.metrics import Floats, bootstrap_weights
from raysweep.scenarios import Scenario, frontier_table, make_scenario, scenario_table
from raysweep.spec import Benchmark, EngineSpec, RunConfig, Sweep
from raysweep.store import Store
from raysweep.tally import (
    OUTCOMES,
    Tally,
    flatten_answers,
    positions,
    tallies,
    tokens_generated,
)

BOOTSTRAP_DRAWS = 1000
BOOTSTRAP_SEED = 1  # fixed: the same samples give the same results

SUMMARY = "summary.json"
SAMPLE_COLUMNS = ("question_id", "sample_index", "prompt_tokens", "trace_tokens", "answers")

Row = dict[str, Any]


@dataclass(frozen=True)
class Stream:
    """What was read of one engine on one benchmark: its votes per token budget, and how much."""

    tallies: tuple[Tally, ...]
    shards: int
    shards_read: int
    samples: int
    tokens_generated: int


@dataclass(frozen=True)
class Skipped:
    """A scenario without a row: some question has fewer samples than the group takes."""

    engine_id: str
    benchmark: str
    token_budget: int
    group_size: int
    n_samples: int


@dataclass(frozen=True)
class Reduction:
    """The tables as written, what was merged into summary.json, and what could not be computed."""

    scenarios: pa.Table
    frontier: pa.Table
    summary: Row
    skipped: tuple[Skipped, ...]


def reduce_run(config: RunConfig, store: Store) -> Reduction:
    """Reduce the samples that plan.parquet names, and write the results."""
    sweep = config.sweep
    engine_rows = _engine_rows(config, store)
    streams = _read_streams(config, store)
    weights = {benchmark.name: _weights(benchmark) for benchmark in sweep.benchmarks}
    scenarios = _scenarios(streams, sweep, engine_rows, weights)
    skipped = _skipped(streams, sweep)
    reduction = Reduction(
        scenario_table(scenarios),
        frontier_table(scenarios, sweep.batch_sizes, weights),
        _summary(streams, scenarios, skipped),
        skipped,
    )
    _write(reduction, store)
    return reduction


def _engine_rows(config: RunConfig, store: Store) -> dict[str, Row]:
    rows = {row["engine_id"]: row for row in store.read_table("engines.parquet").to_pylist()}
    missing = {engine.engine_id for engine in plan.engines(config.sweep)} - rows.keys()
    if missing:
        raise ConfigError(
            f"engines.parquet is of another configuration: it lacks {', '.join(sorted(missing))}; "
            "run the stages plan and reduce together"
        )
    return rows


def _read_streams(config: RunConfig, store: Store) -> list[Stream]:
    """Each engine on each benchmark, one after the other."""
    shards = defaultdict(list)
    for row in store.read_table("plan.parquet").to_pylist():
        shards[row["engine_id"], row["benchmark"]].append(row)
    return [
        _read_stream(
            config.sweep, store, engine, benchmark, shards[engine.engine_id, benchmark.name]
        )
        for engine in plan.engines(config.sweep)
        for benchmark in config.sweep.benchmarks
    ]


def _read_stream(
    sweep: Sweep, store: Store, engine: EngineSpec, benchmark: Benchmark, shards: Sequence[Row]
) -> Stream:
    engine_id = engine.engine_id
    parts = [store.read_samples(engine_id, [row["shard_id"]], SAMPLE_COLUMNS) for row in shards]
    planned = [_of_shard(part, row) for part, row in zip(parts, shards, strict=True)]
    nothing = store.read_samples(engine_id, [], SAMPLE_COLUMNS)
    samples = _wanted(pa.concat_tables([nothing, *planned]), benchmark, sweep.samples)
    answers = flatten_answers(samples, benchmark)
    longest = int(samples["prompt_tokens"].to_numpy().max(initial=0))
    return Stream(
        tuple(tallies(answers, longest, engine, benchmark, sweep.token_budgets)),
        shards=len(shards),
        shards_read=sum(part.num_rows > 0 for part in parts),
        samples=samples.num_rows,
        tokens_generated=tokens_generated(samples, answers),
    )


def _of_shard(part: pa.Table, shard: Row) -> pa.Table:
    """The samples that the plan counts on: a part of an earlier run may hold other questions."""
    return part.filter(pa.array(positions(part["question_id"], shard["question_ids"]) >= 0))


def _wanted(samples: pa.Table, benchmark: Benchmark, n_samples: int) -> pa.Table:
    """The samples that the run asks for, each once, by question and index.

    Parts may hold more than is asked for, and two attempts may have made the same sample twice,
    which must not vote twice.
    """
    question_ids = [question.question_id for question in benchmark.questions]
    question = positions(samples["question_id"], question_ids)
    index = samples["sample_index"].to_numpy()
    chosen = np.flatnonzero((question >= 0) & (index < n_samples))
    _, first = np.unique(question[chosen] * n_samples + index[chosen], return_index=True)
    return samples.take(pa.array(chosen[first]))


def _weights(benchmark: Benchmark) -> Floats:
    """One resampling of the questions, shared by all that is compared on the benchmark."""
    return bootstrap_weights(len(benchmark.questions), BOOTSTRAP_DRAWS, BOOTSTRAP_SEED)


def _scenarios(
    streams: Iterable[Stream],
    sweep: Sweep,
    engine_rows: Mapping[str, Row],
    weights: Mapping[str, Floats],
) -> list[Scenario]:
    """Every tally at every group size that its samples allow."""
    return [
        make_scenario(
            tally,
            group_size,
            sweep.samples,
            engine_rows[tally.engine.engine_id],
            weights[tally.benchmark.name],
        )
        for tally in _tallies(streams)
        for group_size in sweep.group_sizes
        if group_size <= tally.n_samples
    ]


def _skipped(streams: Iterable[Stream], sweep: Sweep) -> tuple[Skipped, ...]:
    """Every tally at every group size that its samples do not allow."""
    return tuple(
        Skipped(
            tally.engine.engine_id,
            tally.benchmark.name,
            tally.token_budget,
            group_size,
            tally.n_samples,
        )
        for tally in _tallies(streams)
        for group_size in sweep.group_sizes
        if group_size > tally.n_samples
    )


def _tallies(streams: Iterable[Stream]) -> Iterator[Tally]:
    return (tally for stream in streams for tally in stream.tallies)


def _summary(
    streams: Sequence[Stream], scenarios: Sequence[Scenario], skipped: Sequence[Skipped]
) -> Row:
    """What summary.json says of the samples and the scenarios."""
    outcomes = np.sum([tally.outcomes for tally in _tallies(streams)], axis=0).tolist()
    return {
        "engines": len({tally.engine.engine_id for tally in _tallies(streams)}),
        "shards": sum(stream.shards for stream in streams),
        "shards_missing": sum(stream.shards - stream.shards_read for stream in streams),
        "samples": sum(stream.samples for stream in streams),
        "scenarios": len(scenarios),
        "scenarios_skipped": len(skipped),
        "tokens_generated": sum(stream.tokens_generated for stream in streams),
        "tokens_one_run_per_scenario": round(sum(one.run_tokens for one in scenarios)),
        "outcomes": dict(zip(OUTCOMES, outcomes, strict=True)),
    }


def _write(reduction: Reduction, store: Store) -> None:
    """The tables, and the counts into summary.json beside what the other stages put there."""
    store.write_table("scenarios.parquet", reduction.scenarios)
    store.write_table("frontier.parquet", reduction.frontier)
    before = json.loads(store.read_text(SUMMARY)) if store.exists(SUMMARY) else {}
    store.write_text(SUMMARY, json.dumps(before | reduction.summary, indent=2) + "\n")

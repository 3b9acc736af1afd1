"""From samples to results: scenarios.parquet, frontier.parquet and the counts for summary.json.

The one idea: a scenario is computed, not run. Engine by engine the samples shrink to votes
(`tally`), the votes become rows (`scenarios`), and only votes and rows are ever in memory together.
What is there is planned anew, so that no sample is overlooked. A missing shard makes a result
incomplete, never wrong: what is there is reduced, and what cannot be said from it is counted.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raysweep.equivalence import Equivalence
from raysweep.metrics import Floats, bootstrap_weights
from raysweep.plan import Plan, PlannedShard, engines_table, write_plan
from raysweep.record import add_to_summary
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
from raysweep.workers import Workers

BOOTSTRAP_DRAWS = 1000
BOOTSTRAP_SEED = 1  # fixed: the same samples give the same results

SAMPLE_COLUMNS = (
    *("question_id", "sample_index", "prompt_tokens", "trace_tokens", "answers"),
    *("reused_tokens", "recomputed_tokens", "reproducible"),
)

Row = dict[str, Any]


@dataclass(frozen=True)
class Stream:
    """What was read of one engine on one benchmark: its votes per token budget, and how much."""

    tallies: tuple[Tally, ...]
    shards: int
    shards_missing: int
    samples: int
    tokens_generated: int
    reused_tokens: int
    recomputed_tokens: int
    seeded_samples: int


@dataclass(frozen=True)
class Reduction:
    """The tables as written, and what was merged into summary.json."""

    scenarios: pa.Table
    frontier: pa.Table
    summary: Row


def reduce_run(config: RunConfig, store: Store) -> Reduction:
    """Reduce the wanted samples that are in the store, and write plan and results."""
    sweep = config.sweep
    planned = write_plan(config, store)
    engine_rows = {row["engine_id"]: row for row in engines_table(config, planned).to_pylist()}
    with Workers(os.cpu_count() or 1) as workers:
        streams = _read_streams(planned, sweep, store, Equivalence(workers))
    weights = {benchmark.name: _weights(benchmark) for benchmark in sweep.benchmarks}
    scenarios = _scenarios(streams, sweep, engine_rows, weights)
    reduction = Reduction(
        scenario_table(scenarios),
        frontier_table(scenarios, sweep.batch_sizes, weights),
        _summary(streams, scenarios, sweep),
    )
    _write(reduction, store)
    return reduction


def _read_streams(
    planned: Plan, sweep: Sweep, store: Store, equivalence: Equivalence
) -> list[Stream]:
    """Each engine on each benchmark, one after the other."""
    shards = defaultdict(list)
    for shard in planned.shards:
        shards[shard.engine_id, shard.benchmark].append(shard)
    return [
        _read_stream(
            sweep, store, engine, benchmark, shards[engine.engine_id, benchmark.name], equivalence
        )
        for engine in planned.engines
        for benchmark in sweep.benchmarks
    ]


def _read_stream(
    sweep: Sweep,
    store: Store,
    engine: EngineSpec,
    benchmark: Benchmark,
    shards: Sequence[PlannedShard],
    equivalence: Equivalence,
) -> Stream:
    finished = [shard for shard in shards if shard.shard is None]
    nothing = store.read_samples(engine.engine_id, [], SAMPLE_COLUMNS)
    parts = [_read_shard(store, shard) for shard in finished]
    samples = _wanted(pa.concat_tables([nothing, *parts]), benchmark, sweep.samples)
    answers = flatten_answers(samples, benchmark, equivalence)
    longest = int(samples["prompt_tokens"].to_numpy().max(initial=0))
    return Stream(
        tuple(tallies(answers, longest, engine, benchmark, sweep.token_budgets)),
        shards=len(shards),
        shards_missing=len(shards) - len(finished),
        samples=samples.num_rows,
        tokens_generated=tokens_generated(samples, answers),
        reused_tokens=_sum(samples["reused_tokens"]),
        recomputed_tokens=_sum(samples["recomputed_tokens"]),
        seeded_samples=int(np.sum(samples["reproducible"].to_numpy() == "seeded")),
    )


def _sum(column: pa.ChunkedArray) -> int:
    """Of a column of whole numbers; nulls count for nothing."""
    return int(column.fill_null(0).to_numpy().sum())


def _read_shard(store: Store, shard: PlannedShard) -> pa.Table:
    """The samples that the plan counts on: a part of an earlier run may hold other questions."""
    part = store.read_samples(shard.engine_id, [shard.shard_id], SAMPLE_COLUMNS)
    return part.filter(pa.array(positions(part["question_id"], shard.question_ids) >= 0))


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


def _tallies(streams: Iterable[Stream]) -> Iterator[Tally]:
    return (tally for stream in streams for tally in stream.tallies)


def _summary(streams: Sequence[Stream], scenarios: Sequence[Scenario], sweep: Sweep) -> Row:
    """What summary.json says of the samples and the scenarios."""
    all_tallies = list(_tallies(streams))
    outcomes = np.sum([tally.outcomes for tally in all_tallies], axis=0).tolist()
    return {
        "engines": len({tally.engine.engine_id for tally in all_tallies}),
        "shards": sum(stream.shards for stream in streams),
        "shards_missing": sum(stream.shards_missing for stream in streams),
        "samples": sum(stream.samples for stream in streams),
        "scenarios": len(scenarios),
        "scenarios_skipped": len(all_tallies) * len(sweep.group_sizes) - len(scenarios),
        "tokens_generated": sum(stream.tokens_generated for stream in streams),
        "tokens_one_run_per_scenario": round(sum(one.run_tokens for one in scenarios)),
        "outcomes": dict(zip(OUTCOMES, outcomes, strict=True)),
        "prefix_cache": _prefix_cache(streams),
        "samples_that_a_batch_may_change": sum(stream.seeded_samples for stream in streams),
    }


def _prefix_cache(streams: Sequence[Stream]) -> Row:
    """Of the thinking before the answers of forks that were prompts of their own, what was computed twice."""
    recomputed = sum(stream.recomputed_tokens for stream in streams)
    whole = recomputed + sum(stream.reused_tokens for stream in streams)
    share = round(recomputed / whole, 4) if whole else None
    return {"fork_tokens": whole, "recomputed_tokens": recomputed, "recomputed_share": share}


def _write(reduction: Reduction, store: Store) -> None:
    """The tables, and the counts into summary.json beside what the other stages put there."""
    store.write_table("scenarios.parquet", reduction.scenarios)
    store.write_table("frontier.parquet", reduction.frontier)
    add_to_summary(store, reduction.summary)

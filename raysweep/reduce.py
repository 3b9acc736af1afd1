"""From samples to results: scenarios, frontiers, thresholds, and the counts for summary.json.

The one idea: a scenario is computed, not run. Partition by partition, a partition being the samples of
one engine on one benchmark, samples shrink to votes (`tally`) and votes become scenarios; no two
partitions' samples are in memory together, and where a Ray cluster is at hand they are its tasks. What
is there is planned anew, so that no sample is overlooked. A missing shard makes a result incomplete,
never wrong: what is there is reduced, and what cannot be said from it is counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raysweep.estimate import estimates
from raysweep.frontiers import frontier_tables
from raysweep.partitions import Partition, Reduced, reduce_partitions
from raysweep.plan import Plan, PlannedShard
from raysweep.plan_files import engines_table, write_plan
from raysweep.record import add_to_summary
from raysweep.run_config import RunConfig, Sweep
from raysweep.scenarios import Scenario, by_benchmark, scenario_table, score_table
from raysweep.spec import Benchmark
from raysweep.store import Store
from raysweep.tables import QUESTIONS, THRESHOLDS
from raysweep.tally import OUTCOMES
from raysweep.threshold import Threshold, find_thresholds
from raysweep.uncertainty import bootstrap_weights

BOOTSTRAP_DRAWS = 1000
BOOTSTRAP_SEED = 1  # fixed: the same samples give the same results

Row = dict[str, Any]


@dataclass(frozen=True)
class Reduction:
    """The tables as written, by file name, and what was merged into summary.json."""

    tables: Mapping[str, pa.Table]
    summary: Row

    @property
    def scenarios(self) -> pa.Table:
        return self.tables["scenarios.parquet"]

    @property
    def frontier(self) -> pa.Table:
        return self.tables["frontier.parquet"]


def reduce_run(config: RunConfig, store: Store) -> Reduction:
    """Reduce the wanted samples that are in the store, and write plan and results."""
    sweep = config.sweep
    planned = write_plan(config, store)
    reduced = reduce_partitions(partitions(config, planned), sweep, store, config.cluster)
    if any(one.set_aside for one in reduced):
        write_plan(config, store)  # whose shards are to be run again
    scenarios = [scenario for one in reduced for scenario in one.scenarios]
    reduction = _results(scenarios, reduced, sweep)
    for name, table in reduction.tables.items():
        store.write_table(name, table)
    add_to_summary(store, reduction.summary)
    return reduction


def partitions(config: RunConfig, planned: Plan) -> list[Partition]:
    """Each engine on each benchmark, with the shards that the plan has for it."""
    described = {
        row["engine_id"]: row
        for row in engines_table(config, estimates(config, planned)).to_pylist()
    }
    shards: dict[tuple[str, str], list[PlannedShard]] = defaultdict(list)
    for shard in planned.shards:
        shards[shard.engine_id, shard.benchmark].append(shard)
    return [
        _partition(engine, benchmark, described[engine.engine_id], shards)
        for engine in planned.engines
        for benchmark in config.sweep.benchmarks
    ]


def _partition(engine: Any, benchmark: Benchmark, described: Row, shards: Mapping) -> Partition:
    own = shards.get((engine.engine_id, benchmark.name), [])
    finished = {shard.shard_id: shard.question_ids for shard in own if shard.shard is None}
    return Partition(engine, benchmark.name, described, finished, len(own) - len(finished))


def _results(scenarios: Sequence[Scenario], reduced: Sequence[Reduced], sweep: Sweep) -> Reduction:
    benchmarks = by_benchmark(scenarios)
    weights = {
        benchmark.name: bootstrap_weights(len(benchmark.questions), BOOTSTRAP_DRAWS, BOOTSTRAP_SEED)
        for benchmark in sweep.benchmarks
    }
    frontier, frontiers = frontier_tables(benchmarks, sweep.batch_sizes, weights)
    thresholds = {
        (benchmark, batch_size): found
        for benchmark, candidates in benchmarks.items()
        for batch_size, found in find_thresholds(
            candidates, sweep.batch_sizes, BOOTSTRAP_SEED
        ).items()
    }
    tables = {
        "scenarios.parquet": scenario_table(benchmarks),
        "scores.parquet": score_table(benchmarks),
        "questions.parquet": _question_table(sweep.benchmarks),
        "frontier.parquet": frontier,
        "frontiers.parquet": frontiers,
        "thresholds.parquet": _threshold_table(thresholds),
    }
    summary = _summary(reduced, scenarios, sweep)
    return Reduction(tables, {**summary, "thresholds": _thresholds_found(thresholds)})


Thresholds = Mapping[tuple[str, int], Threshold]  # by benchmark and batch size


def _threshold_table(thresholds: Thresholds) -> pa.Table:
    """thresholds.parquet: what each answer rests on."""
    rows = [
        {
            "benchmark": benchmark,
            "batch_size": batch_size,
            "weights_bytes": one.weights_bytes,
            "contests": one.contests,
            "advantage": one.mean,
            "advantage_lo": one.low,
            "advantage_hi": one.high,
        }
        for (benchmark, batch_size), threshold in thresholds.items()
        for one in threshold.advantages
    ]
    return pa.Table.from_pylist(rows, schema=THRESHOLDS)


def _thresholds_found(thresholds: Thresholds) -> list[Row]:
    """The answers, for summary.json."""
    return [
        {
            "benchmark": benchmark,
            "batch_size": batch_size,
            "decided": found.decided,
            "reason": found.reason,
            "weights_bytes": found.weights_bytes,
            "weights_bytes_lo": found.low,
            "weights_bytes_hi": found.high,
            "p_value": found.p_value,
        }
        for (benchmark, batch_size), found in thresholds.items()
    ]


def _question_table(benchmarks: Iterable[Benchmark]) -> pa.Table:
    rows = [
        {"benchmark": benchmark.name, "question_id": question.question_id}
        for benchmark in benchmarks
        for question in benchmark.questions
    ]
    return pa.Table.from_pylist(rows, schema=QUESTIONS)


def _summary(reduced: Sequence[Reduced], scenarios: Sequence[Scenario], sweep: Sweep) -> Row:
    """What summary.json says of the samples and the scenarios."""
    outcomes = np.sum([one.outcomes for one in reduced], axis=0).tolist()
    wanted = len(reduced) * len(sweep.token_budgets) * len(sweep.group_sizes)
    return {
        "engines": len({one.engine_id for one in reduced}),
        "shards": sum(one.shards for one in reduced),
        "shards_missing": sum(one.shards_missing for one in reduced),
        "samples": sum(one.samples for one in reduced),
        "samples_missing": sum(one.samples_missing for one in reduced),
        "incomplete": {
            f"{one.engine_id} on {one.benchmark}": one.samples_missing
            for one in reduced
            if one.samples_missing
        },
        "parts_set_aside": [name for one in reduced for name in one.set_aside],
        "scenarios": len(scenarios),
        "scenarios_skipped": wanted - len(scenarios),
        "tokens_generated": sum(one.tokens_generated for one in reduced),
        "tokens_one_run_per_scenario": round(sum(one.run_tokens for one in scenarios)),
        "outcomes": dict(zip(OUTCOMES, outcomes, strict=True)),
        "finishes": dict(sum((Counter(one.finishes) for one in reduced), Counter())),
        "prefix_cache": _prefix_cache(reduced),
        "samples_that_a_batch_may_change": sum(one.seeded_samples for one in reduced),
    }


def _prefix_cache(reduced: Sequence[Reduced]) -> Row:
    """Of the thinking before answers that were prompts of their own, what was computed twice."""
    recomputed = sum(one.recomputed_tokens for one in reduced)
    whole = recomputed + sum(one.reused_tokens for one in reduced)
    share = round(recomputed / whole, 4) if whole else None
    return {"fork_tokens": whole, "recomputed_tokens": recomputed, "recomputed_share": share}

"""From samples to results: scenarios, frontiers, thresholds, and the counts for summary.json.

The one idea: a scenario is computed, not run. A partition is the samples of one engine on one benchmark.
Partition by partition, samples shrink to votes (`tally`), and votes become scenarios, so the samples of
two partitions are never in memory together. A missing shard makes a result incomplete, never wrong: the
samples that exist are reduced, and the scenarios that lack samples are counted. What an adaptive run has
stopped keeps its rows and is compared with nothing. Controls are reduced like all engines, but only the table
of controls holds what comes of them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raysweep.analysis.threshold import find_thresholds
from raysweep.analysis.uncertainty import bootstrap_weights
from raysweep.grading.outcomes import OUTCOMES
from raysweep.reducing.caches_as_full import caches_as_full
from raysweep.reducing.control_table import control_table
from raysweep.reducing.correlations import correlation_table
from raysweep.reducing.finding_table import finding_table
from raysweep.reducing.frontier_tables import frontier_tables
from raysweep.reducing.inflation_table import (
    inflation_found,
    inflation_table,
    pairs_with_references,
)
from raysweep.reducing.partitions import Reduced
from raysweep.reducing.result_tables import (
    question_table,
    scenario_table,
    score_table,
    threshold_table,
    thresholds_found,
)
from raysweep.reducing.scenarios import Scenario, by_benchmark
from raysweep.reducing.stopping import NOTHING_STOPPED, Stopping, marked
from raysweep.run_config import Sweep
from raysweep.storage import result_files
from raysweep.storage.reductions import FOLLOWS_FROM, REDUCTION, REDUCTION_KEY, reduction_id
from raysweep.storage.store import Store
from raysweep.storage.summary import add_to_summary
from raysweep.system.linear_algebra import linear_algebra_on_one_thread

BOOTSTRAP_DRAWS = 1000

# The seed is fixed, so that the same samples give the same results.
BOOTSTRAP_SEED = 1

# Raised by whatever makes other results of the same votes, so that they are computed again.
VERSION = 1


@dataclass(frozen=True)
class Reduction:
    """The tables as they were written, by file name, and what summary.json says of them."""

    tables: Mapping[str, pa.Table]
    summary: dict[str, Any]

    @property
    def scenarios(self) -> pa.Table:
        return self.tables[result_files.SCENARIOS]

    @property
    def frontier(self) -> pa.Table:
        return self.tables[result_files.FRONTIER]


def write_results(
    reduced: Sequence[Reduced],
    sweep: Sweep,
    store: Store,
    stopping: Stopping = NOTHING_STOPPED,
    follows_from: str = "",
) -> Reduction:
    """Write the result tables of the partitions' scenarios, and then add to summary.json.

    follows_from  names all that the results follow from; "" if a later reduce shall not rely on them
    """
    with linear_algebra_on_one_thread():
        reduction = _results(reduced, sweep, stopping)
    found = reduction_id(reduction.tables, reduction.summary)
    for name, table in reduction.tables.items():
        store.write_table(name, table, {REDUCTION_KEY: found.encode()})
    named = {REDUCTION: found, FOLLOWS_FROM: follows_from}
    add_to_summary(store, {**reduction.summary, **named})
    return reduction


def _results(reduced: Sequence[Reduced], sweep: Sweep, stopping: Stopping) -> Reduction:
    found = (s for one in reduced if not one.engine.control for s in one.scenarios)
    scenarios = marked(found, stopping)
    benchmarks = by_benchmark(scenarios)
    weights = {
        benchmark.name: bootstrap_weights(len(benchmark.questions), BOOTSTRAP_DRAWS, BOOTSTRAP_SEED)
        for benchmark in sweep.benchmarks
    }
    # Only what was measured on the most questions, and was not stopped, is compared.
    comparable = {name: candidates.comparable for name, candidates in benchmarks.items()}
    frontier, frontiers = frontier_tables(comparable, sweep.batch_sizes, weights)
    thresholds = find_thresholds(comparable, sweep.batch_sizes, BOOTSTRAP_SEED)
    pairs, most = pairs_with_references(reduced, sweep), sweep.token_budgets[-1]
    tables = {
        result_files.SCENARIOS: scenario_table(scenarios, comparable),
        result_files.SCORES: score_table(benchmarks),
        result_files.QUESTIONS: question_table(sweep.benchmarks),
        result_files.FRONTIER: frontier,
        result_files.FRONTIERS: frontiers,
        result_files.THRESHOLDS: threshold_table(thresholds),
        result_files.FINDINGS: finding_table(comparable, thresholds),
        result_files.CONTROLS: control_table(reduced),
        result_files.INFLATION: inflation_table(pairs, most),
        result_files.CORRELATIONS: correlation_table(reduced, sweep),
    }
    facts = {
        "thresholds": thresholds_found(thresholds),
        "inflation": inflation_found(pairs, most),
        # Where an extension fills every budget, nobody can ask how long models think.
        "thinking_fills_budgets": bool(sweep.forcing.extension),
    }
    return Reduction(tables, {**_summary(reduced, scenarios, sweep, stopping), **facts})


def _summary(
    reduced: Sequence[Reduced], scenarios: Sequence[Scenario], sweep: Sweep, stopping: Stopping
) -> dict[str, Any]:
    """The counts of samples and scenarios for summary.json. What is not wanted is not missing."""
    missing = [_samples_missing(one, stopping) for one in reduced]
    outcomes = np.sum([one.outcomes for one in reduced], axis=0).tolist()
    partitions = sum(not one.engine.control for one in reduced)
    wanted = partitions * len(sweep.token_budgets) * len(sweep.group_sizes)
    return {
        "engines": len({one.engine.engine_id for one in reduced}),
        "shards": sum(one.shards for one in reduced),
        "shards_missing": sum(one.shards_missing for one in reduced),
        "samples": sum(one.samples for one in reduced),
        "samples_missing": sum(missing),
        "incomplete": {
            f"{one.engine.engine_id} on {one.benchmark}": count
            for one, count in zip(reduced, missing, strict=True)
            if count
        },
        "parts_set_aside": [name for one in reduced for name in one.set_aside],
        "scenarios": len(scenarios),
        "scenarios_skipped": wanted - len({one.key for one in scenarios} | stopping.at.keys()),
        "scenarios_stopped": len(stopping.at),
        "tokens_generated": sum(one.tokens_generated for one in reduced),
        "tokens_one_run_per_scenario": round(sum(one.run_tokens for one in scenarios)),
        "outcomes": dict(zip(OUTCOMES, outcomes, strict=True)),
        "finishes": dict(sum((Counter(one.finishes) for one in reduced), Counter())),
        "prefix_cache": _prefix_cache(reduced),
        "samples_that_a_batch_may_change": sum(one.seeded_samples for one in reduced),
        "caches_as_full": caches_as_full(reduced, sweep),
    }


def _samples_missing(one: Reduced, stopping: Stopping) -> int:
    """The samples that the run wants by now and lacks."""
    wanted = stopping.wanted.get((one.engine.engine_id, one.benchmark))
    if wanted is None:
        return one.samples_missing
    return max(0, len(one.lengths) * wanted - one.samples)


def _prefix_cache(reduced: Sequence[Reduced]) -> dict[str, Any]:
    """How much thinking was computed twice because an answer was a prompt of its own."""
    recomputed = sum(one.recomputed_tokens for one in reduced)
    whole = recomputed + sum(one.reused_tokens for one in reduced)
    share = round(recomputed / whole, 4) if whole else None
    return {"fork_tokens": whole, "recomputed_tokens": recomputed, "recomputed_share": share}

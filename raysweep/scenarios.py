"""From votes to rows: what each scenario achieves and takes, and which are on the frontier. Pure.

The one idea: a tally becomes a scenario once a group size is chosen. Its accuracy is the mean over
questions of maj@G, its memory that of G caches besides the weights, and it keeps each question's
score, so that all scenarios of a benchmark are compared on the same draws of the questions.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raysweep import memory
from raysweep.frontier import amortised_bytes, p_on_frontier, pareto
from raysweep.metrics import (
    Floats,
    bootstrap_means,
    interval,
    maj_at_k,
    mean_score,
    pass_at_k,
)
from raysweep.spec import EngineSpec
from raysweep.tables import FRONTIER, SCENARIOS
from raysweep.tally import OUTCOMES, Tally, Votes

KEY = ("engine_id", "benchmark", "token_budget", "group_size")

Row = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """A row of scenarios.parquet without `on_frontier`, and what the row does not say."""

    row: Row
    per_question: Floats  # the accuracy of each question, NaN where it has no sample
    run_tokens: float  # that generating this scenario by itself would have taken

    @property
    def key(self) -> tuple:
        return tuple(self.row[name] for name in KEY)


def make_scenario(
    tally: Tally, group_size: int, samples: int, described: Row, weights: Floats
) -> Scenario:
    """The tally at a group size, which may not exceed its `n_samples`.

    samples    how many of each question were asked for
    described  the engine's row of engines.parquet
    weights    bootstrap weights of the benchmark's questions
    """
    accuracy = _per_question(tally, lambda v: maj_at_k(v.correct, v.wrong, v.absent, group_size))
    row = {
        **_engine_columns(tally.engine, described),
        **_tally_columns(tally, samples),
        "group_size": group_size,
        **_score_columns(tally, group_size, accuracy, weights),
        **_memory_columns(tally, group_size),
    }
    return Scenario(row, accuracy, run_tokens=group_size * tally.run_tokens)


def _engine_columns(engine: EngineSpec, described: Row) -> Row:
    """The columns that engines.parquet has too, but for the bytes."""
    names = set(SCENARIOS.names) & described.keys() - {"weights_bytes"}
    return {name: described[name] for name in names}


def _tally_columns(tally: Tally, samples: int) -> Row:
    """The columns that all group sizes share."""
    answers = int(tally.outcomes.sum())
    share = dict(zip(OUTCOMES, (tally.outcomes / answers).tolist(), strict=True))
    return {
        "benchmark": tally.benchmark.name,
        "token_budget": tally.token_budget,
        "n_questions": tally.n_questions,
        "n_samples": tally.n_samples,
        "complete": all(votes.samples >= samples for votes in tally.votes),
        "unanswered": share["unanswered"],
        "cut_off": share["cut_off"],
        "errors": share["error"],
        "mean_trace_tokens": tally.thinking_tokens / answers,
    }


def _score_columns(tally: Tally, group_size: int, accuracy: Floats, weights: Floats) -> Row:
    low, high = interval(accuracy, weights)
    pass_at_1 = _per_question(tally, lambda v: pass_at_k(v.samples, v.correct, 1))
    pass_at_g = _per_question(tally, lambda v: pass_at_k(v.samples, v.correct, group_size))
    return {
        "accuracy": mean_score(accuracy),
        "accuracy_lo": low,
        "accuracy_hi": high,
        "pass_at_1": mean_score(pass_at_1),
        "pass_at_g": mean_score(pass_at_g),
    }


def _per_question(tally: Tally, score: Callable[[Votes], float]) -> Floats:
    return np.array([score(votes) if votes.samples else np.nan for votes in tally.votes])


def _memory_columns(tally: Tally, group_size: int) -> Row:
    """Bytes of the weights and of the group's caches at the budget, after the longest prompt."""
    engine = tally.engine
    tokens = tally.longest_prompt_tokens + tally.token_budget
    weights_bytes = memory.weights_bytes(engine.model, engine.weights)
    cache = (engine.model.architecture, engine.kv_policy, tokens)
    kv_bytes = group_size * memory.kv_bytes(*cache)
    return {
        "weights_bytes": weights_bytes,
        "kv_bytes": kv_bytes,
        "kv_peak_bytes": group_size * memory.kv_peak_bytes(*cache),
        "total_bytes": weights_bytes + kv_bytes,
    }


def scenario_table(scenarios: Iterable[Scenario]) -> pa.Table:
    """scenarios.parquet, in the order of KEY; `on_frontier` is said within a benchmark."""
    rows = []
    for members in _by_benchmark(scenarios).values():
        on_frontier = pareto(_memory_bytes(members, batch_size=1), _accuracies(members))
        pairs = zip(members, on_frontier.tolist(), strict=True)
        rows += [{**scenario.row, "on_frontier": on} for scenario, on in pairs]
    rows.sort(key=lambda row: tuple(row[name] for name in KEY))
    return pa.Table.from_pylist(rows, schema=SCENARIOS)


def frontier_table(
    scenarios: Iterable[Scenario], batch_sizes: Sequence[int], weights: Mapping[str, Floats]
) -> pa.Table:
    """frontier.parquet: per benchmark and batch size the points on the frontier, by memory."""
    rows = []
    for benchmark, members in _by_benchmark(scenarios).items():
        scores = np.stack([scenario.per_question for scenario in members], axis=1)
        draws = bootstrap_means(scores, weights[benchmark])  # [draws, scenarios]
        for batch_size in batch_sizes:
            rows += _frontier_rows(members, draws, batch_size)
    rows.sort(key=lambda row: (row["benchmark"], row["batch_size"], row["memory_bytes"]))
    return pa.Table.from_pylist(rows, schema=FRONTIER)


def _frontier_rows(members: Sequence[Scenario], draws: Floats, batch_size: int) -> Iterator[Row]:
    memory_bytes = _memory_bytes(members, batch_size)
    share = p_on_frontier(memory_bytes, draws)
    for point in np.flatnonzero(pareto(memory_bytes, _accuracies(members))).tolist():
        row = members[point].row
        yield {
            **{name: row[name] for name in FRONTIER.names if name in row},
            "batch_size": batch_size,
            "memory_bytes": float(memory_bytes[point]),
            "p_on_frontier": float(share[point]),
        }


def _by_benchmark(scenarios: Iterable[Scenario]) -> dict[str, list[Scenario]]:
    """In the order of KEY, so that the first of two equal points is always the same one."""
    groups = defaultdict(list)
    for scenario in sorted(scenarios, key=lambda one: one.key):
        groups[scenario.row["benchmark"]].append(scenario)
    return groups


def _accuracies(members: Iterable[Scenario]) -> Floats:
    return np.array([scenario.row["accuracy"] for scenario in members])


def _memory_bytes(members: Iterable[Scenario], batch_size: int) -> Floats:
    pairs = [(scenario.row["weights_bytes"], scenario.row["kv_bytes"]) for scenario in members]
    weights_bytes, kv_bytes = np.array(pairs, dtype=np.float64).T
    return amortised_bytes(weights_bytes, kv_bytes, batch_size)

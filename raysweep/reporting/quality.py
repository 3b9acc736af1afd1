"""How far the data can be used: what was asked and not answered, and what is not there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from raysweep.reporting.appearance import models
from raysweep.system.quantities import percent, plural

MOST_NAMED = 8  # engines or files


@dataclass(frozen=True)
class Quality:
    """How far one model's answers on one benchmark can be used. Shares are of all answers."""

    benchmark: str
    model: str
    questions: int
    fewest_samples: int
    shares: dict[str, tuple[str, str]]  # mean and worst over engines and budgets, in words
    incomplete: int
    scenarios: int


def quality(scenarios: pd.DataFrame) -> list[Quality]:
    """A row for each benchmark and model, models by size."""
    order = list(models(scenarios))
    groups = scenarios.groupby(["benchmark", "model"])
    rows = [_quality(rows) for _, rows in groups]
    return sorted(rows, key=lambda row: (row.benchmark, order.index(row.model)))


def _quality(rows: pd.DataFrame) -> Quality:
    """`rows` are of one benchmark and model."""
    answers = rows.drop_duplicates(["engine_id", "token_budget"])  # shared by all group sizes
    return Quality(
        rows.benchmark.iloc[0],
        rows.model.iloc[0],
        int(rows.n_questions.max()),
        int(rows.n_samples.min()),
        {
            name: _mean_and_worst(answers[name].tolist())
            for name in ("unanswered", "cut_off", "errors")
        },
        int((~rows.complete).sum()),
        len(rows),
    )


def _mean_and_worst(shares: list[float]) -> tuple[str, str]:
    return percent(sum(shares) / len(shares)), percent(max(shares))


def gaps(summary: Mapping[str, Any]) -> list[str]:
    """What is not there, or not as it should be, a sentence each; empty if nothing is amiss."""
    return [*_missing(summary), *_quarantined(summary), *_damaged(summary), *_loops(summary)]


def _missing(summary: Mapping[str, Any]) -> Iterator[str]:
    if shards := summary.get("shards_missing"):
        skipped = plural(summary.get("scenarios_skipped", 0), "scenario")
        yield (
            f"{shards:,} of {plural(summary['shards'], 'shard')} are missing, so {skipped} could not be "
            "computed. The same command goes on with them."
        )
    if incomplete := summary.get("incomplete"):
        named = [f"{name} ({plural(count, 'sample')})" for name, count in incomplete.items()]
        yield f"Samples are missing from {_some(named)}."


def _quarantined(summary: Mapping[str, Any]) -> Iterator[str]:
    """Questions that took their engine down each time, and were given up."""
    if count := summary.get("quarantined_questions"):
        named = [
            f"{one['question_id']} of {one['benchmark']} on {one['engine_id']}"
            for one in summary.get("quarantined", ())
        ]
        were = "was" if count == 1 else "were"
        yield (
            f"{plural(count, 'question')} took down the engine each time and {were} given up: "
            f"{_some(named, count)}."
        )


def survived(summary: Mapping[str, Any]) -> str:
    """The faults that the run has survived, in a sentence; "" if there were none."""
    count = summary.get("faults_survived")
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in summary.get("faults_by_kind", {}).items())
    said = f" ({kinds})" if kinds else ""
    return f"The run survived {plural(count, 'fault')}{said}." if count else ""


def _damaged(summary: Mapping[str, Any]) -> Iterator[str]:
    if damaged := summary.get("parts_set_aside"):
        yield f"Files that could not be read were set aside: {_some(damaged)}."


def _loops(summary: Mapping[str, Any]) -> Iterator[str]:
    """Traces that a backend ended because they repeated themselves, where it says so."""
    if loops := summary.get("finishes", {}).get("loop"):
        yield f"{plural(loops, 'trace')} of {summary['samples']:,} went round in a loop."


def _some(names: list[str], count: int | None = None) -> str:
    """The first of the names; `count` is of how many, if not all are given."""
    others = (count or len(names)) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {others:,} others" if others > 0 else "")

"""How far the data can be trusted: answers that do not count as correct, and results that are missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from raysweep.reporting.appearance import models
from raysweep.system.quantities import percent, plural

# At most this many engines or files are named in a sentence.
MOST_NAMED = 8


@dataclass(frozen=True)
class Quality:
    """How far one model's answers on one benchmark can be trusted.

    shares      the mean and the worst share of all answers over engines and budgets, in words
    incomplete  scenarios in which some question lacks samples, though nothing has stopped them
    """

    benchmark: str
    model: str
    questions: int
    fewest_samples: int
    shares: dict[str, tuple[str, str]]
    incomplete: int
    scenarios: int


def quality(scenarios: pd.DataFrame) -> list[Quality]:
    """One per benchmark and model, smaller models first."""
    order = list(models(scenarios))
    groups = scenarios.groupby(["benchmark", "model"])
    rows = [_quality(rows) for _, rows in groups]
    return sorted(rows, key=lambda row: (row.benchmark, order.index(row.model)))


def _quality(rows: pd.DataFrame) -> Quality:
    """The quality of one benchmark and model; `rows` are its scenarios."""
    # All group sizes share the same answers.
    answers = rows.drop_duplicates(["engine_id", "token_budget"])
    return Quality(
        rows.benchmark.iloc[0],
        rows.model.iloc[0],
        int(rows.n_questions.max()),
        int(rows.n_samples.min()),
        {
            name: _mean_and_worst(answers[name].tolist())
            for name in ("unanswered", "cut_off", "errors")
        },
        int((~rows.complete & rows.stopped_at.isna()).sum()),
        len(rows),
    )


def _mean_and_worst(shares: list[float]) -> tuple[str, str]:
    return percent(sum(shares) / len(shares)), percent(max(shares))


def gaps(summary: Mapping[str, Any]) -> list[str]:
    """A sentence for each kind of result that is missing; empty if all results exist."""
    return [*_missing(summary), *_quarantined(summary), *_damaged(summary)]


def notes(summary: Mapping[str, Any]) -> list[str]:
    """A sentence for each remark that is no cause for alarm."""
    nothing_missing = [] if gaps(summary) else ["No shard is missing, and no file was damaged."]
    return [*nothing_missing, *_loops(summary), *_survived(summary), *same_caches(summary)]


def same_caches(summary: Mapping[str, Any]) -> Iterator[str]:
    """Policies that had nothing to pack or evict at some token budgets. `summary` says which."""
    for one in summary.get("caches_as_full", ()):
        budgets = one["token_budgets"]
        where = "at the token budget" if len(budgets) == 1 else "at the token budgets"
        yield (
            f"{one['kv_policy']} packs or evicts from {one['differs_from']:,} tokens on, and {where} "
            f"{', '.join(f'{budget:,}' for budget in budgets)} no sequence is so long, so its cache there "
            "is that of full."
        )


def _missing(summary: Mapping[str, Any]) -> Iterator[str]:
    if shards := summary.get("shards_missing"):
        skipped = plural(summary.get("scenarios_skipped", 0), "scenario")
        yield (
            f"{shards:,} of {plural(summary['shards'], 'shard')} are missing, so {skipped} could not be "
            "computed. Run the same command again to generate them."
        )
    if incomplete := summary.get("incomplete"):
        named = [f"{name} ({plural(count, 'sample')})" for name, count in incomplete.items()]
        yield f"Samples are missing from {_first_few(named)}."


def _quarantined(summary: Mapping[str, Any]) -> Iterator[str]:
    """Questions that crashed their engine every time, and were given up."""
    if count := summary.get("quarantined_questions"):
        named = [
            f"{one['question_id']} of {one['benchmark']} on {one['engine_id']}"
            for one in summary.get("quarantined", ())
        ]
        were = "was" if count == 1 else "were"
        yield (
            f"{plural(count, 'question')} crashed the engine every time and {were} given up: "
            f"{_first_few(named, count)}."
        )


def _survived(summary: Mapping[str, Any]) -> Iterator[str]:
    if count := summary.get("faults_survived"):
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in summary.get("faults_by_kind", {}).items())
        yield f"The run survived {plural(count, 'fault')}{f' ({kinds})' if kinds else ''}."


def _damaged(summary: Mapping[str, Any]) -> Iterator[str]:
    if damaged := summary.get("parts_set_aside"):
        yield f"These damaged files were set aside: {_first_few(damaged)}."


def _loops(summary: Mapping[str, Any]) -> Iterator[str]:
    """Traces whose thinking a backend closed because they repeated themselves, if it records that."""
    if loops := summary.get("finishes", {}).get("loop"):
        were = "was" if loops == 1 else "were"
        yield (
            f"Of {plural(summary['samples'], 'trace')}, {loops:,} {were} stopped because the text "
            "repeated itself endlessly."
        )


def _first_few(names: list[str], count: int | None = None) -> str:
    """The first names; `count` is their number if some are left out already."""
    others = (count or len(names)) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {others:,} others" if others > 0 else "")

"""Where results come from: summary.json in words, and what was run. What was not recorded is left out."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from raysweep.reporting.quantisation import quantisations
from raysweep.system.quantities import duration, human_count, plural

# The values of the column `finish` in words.
ENDINGS = {
    "stop": "by themselves",
    "budget": "at the largest token budget",
    "loop": "in endless repetition",
    "end": "with the end of the text",
    "deadline": "given up as too slow",
}


def lead(scenarios: pd.DataFrame, summary: dict[str, Any]) -> str:
    """What was measured, in a sentence."""
    if scenarios.empty:
        return "This run has no scenarios yet."
    grid = ", ".join(
        plural(len(set(scenarios[column])), noun)
        for column, noun in (
            ("engine_id", "engine"),
            ("benchmark", "benchmark"),
            ("token_budget", "token budget"),
            ("group_size", "group size"),
        )
    )
    samples = f", from {plural(summary['samples'], 'sample')}" if "samples" in summary else ""
    return f"{plural(len(scenarios), 'scenario')}: {grid}{samples}."


def facts(scenarios: pd.DataFrame, summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Everything that summary.json holds, and the quantisation of the cache: a label and a value each."""
    return [
        *_work(summary),
        *(("KV cache in fewer bits", words) for words in quantisations(scenarios)),
        *_time(summary),
        *_outcomes(summary),
        *_finishes(summary),
        *_origin(summary),
    ]


def _work(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("scenarios", "scenarios_skipped", "engines", "samples"):
        if key in summary:
            yield key.capitalize().replace("_", " "), f"{summary[key]:,}"
    if "shards" in summary:
        yield "Shards", f"{summary['shards']:,}, {summary.get('shards_missing', 0):,} missing"
    generated = summary.get("tokens_generated")
    if generated is not None:
        yield "Tokens generated", human_count(generated)
    separate = summary.get("tokens_one_run_per_scenario")
    if separate is not None:
        ratio = f", {separate / generated:.1f} times as many" if generated else ""
        yield "Tokens if each scenario were run by itself", human_count(separate) + ratio


def _time(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if summary.get("wall_s") is not None:
        yield "Wall time", duration(summary["wall_s"])
    if summary.get("gpu_hours") is not None:
        yield "GPU-hours", f"{summary['gpu_hours']:,.2f}"
    if summary.get("faults_survived") is not None:
        yield "Faults survived", f"{summary['faults_survived']:,}"


def _outcomes(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    outcomes = summary.get("outcomes") or {}
    total = sum(outcomes.values())
    for name, count in outcomes.items():
        share = f" ({count / total:.2%})" if total else ""
        yield f"Answers {name.replace('_', ' ')}", f"{count:,}{share}"


def _finishes(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    finishes = summary.get("finishes") or {}
    if finishes:
        counted = sorted(finishes.items(), key=lambda entry: -entry[1])
        parts = [f"{count:,} {ENDINGS.get(name, name)}" for name, count in counted]
        yield "How thinking ended", ", ".join(parts)


def _origin(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, label in (("run", "Run"), ("seed", "Seed"), ("git_revision", "Git revision")):
        if summary.get(key) is not None:
            yield label, str(summary[key])
    versions = summary.get("versions") or {}
    if versions:
        yield "Versions", ", ".join(f"{name} {version}" for name, version in versions.items())

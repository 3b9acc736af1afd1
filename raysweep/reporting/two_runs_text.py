"""The stage compare with another run: tables for the terminal, and run_comparison.json."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from raysweep.analysis.two_runs import Difference, Differences, FrontierPoint, Movement, Place
from raysweep.errors import shown
from raysweep.reporting.terminal import empty_table
from raysweep.reporting.terminal_lines import Line
from raysweep.reporting.two_runs import Setting, TwoRuns
from raysweep.storage.result_files import RUN_COMPARISON
from raysweep.storage.store import Store
from raysweep.system.quantities import human_bytes, percent, percentage_points, plural
from raysweep.system.safe_text import printable

# Rows of a benchmark's table of differences, and of its table of the frontier: 15 together.
MOST_DIFFERENCES, MOST_MOVEMENTS = 9, 6
MOST_SETTINGS = 8

NOT_APART = "chosen by estimates: a place that enters or leaves need not differ by more than chance"
ORDER = ("entered", "left", "moved", "same")


def write_two_runs(found: TwoRuns, store: Store) -> str:
    """Write run_comparison.json. Gives its address."""
    store.write_text(RUN_COMPARISON, json.dumps(as_json(found), indent=2) + "\n")
    return store.path(RUN_COMPARISON)


def as_json(found: TwoRuns) -> dict[str, Any]:
    here, there = found.lacking
    return {
        "other": found.other,
        "settings": [asdict(one) for one in found.settings],
        "benchmarks": [_benchmark_as_json(one) for one in found.benchmarks],
        "frontiers": [
            {
                "benchmark": benchmark,
                "batch_size": batch_size,
                "points": [_movement_as_json(one) for one in points],
            }
            for (benchmark, batch_size), points in found.frontiers.items()
        ],
        "benchmarks_only_here": list(here),
        "benchmarks_only_there": list(there),
    }


def _benchmark_as_json(found: Differences) -> dict[str, Any]:
    return {
        "benchmark": found.benchmark,
        "questions": found.questions,
        "compared": len(found.both),
        "critical_value": found.critical_value,
        "told_apart": found.told_apart,
        "differences": [_difference_as_json(one) for one in found.both],
        "only_here": [_named(place) for place in found.only_here],
        "only_there": [_named(place) for place in found.only_there],
    }


def _difference_as_json(one: Difference) -> dict[str, Any]:
    return {
        **_named(one.place),
        "accuracy_here": one.here,
        "accuracy_there": one.there,
        "difference": one.mean,
        "difference_lo": one.low,
        "difference_hi": one.high,
        "told_apart": one.told_apart,
    }


def _movement_as_json(one: Movement) -> dict[str, Any]:
    return {
        **_named(one.place),
        "change": one.kind,
        "here": _point_as_json(one.here),
        "there": _point_as_json(one.there),
    }


def _point_as_json(point: FrontierPoint | None) -> dict[str, Any] | None:
    return point and {"memory_bytes": point.memory_bytes, "expected": point.expected}


def _named(place: Place) -> dict[str, Any]:
    return dict(zip(("engine_id", "token_budget", "group_size"), place, strict=True))


# The terminal


def tables(found: TwoRuns) -> Iterator[Table]:
    """For each benchmark its largest differences, and what moved on its first batch size's frontier."""
    for one in found.benchmarks:
        if any(difference.mean for difference in one.both):
            yield _differences_table(one)
        sizes = [size for name, size in found.frontiers if name == one.benchmark]
        changed = found.frontiers[one.benchmark, sizes[0]] if sizes else ()
        if any(point.kind != "same" for point in changed):
            yield _frontier_table(one.benchmark, sizes[0], changed)


def _differences_table(found: Differences) -> Table:
    title = (
        f"{printable(found.benchmark)}: this run less the other, paired over "
        f"{plural(found.questions, 'question')}; the intervals hold at once for all "
        f"{plural(len(found.both), 'scenario')} compared"
    )
    names = ("engine", "tokens", "G", "here", "there", "diff.", "interval")
    table = empty_table(Text(title), names, words=("engine",))
    largest = sorted(found.both, key=lambda one: (not one.told_apart, -abs(one.mean)))
    for one in largest[:MOST_DIFFERENCES]:
        engine, tokens, group = one.place
        table.add_row(
            Text(printable(engine)),
            f"{tokens:,}",
            str(group),
            percent(one.here),
            percent(one.there),
            percentage_points(one.mean),
            f"{percentage_points(one.low)} to {percentage_points(one.high)}",
        )
    return table


def _frontier_table(benchmark: str, batch_size: int, points: Iterable[Movement]) -> Table:
    title = (
        f"{printable(benchmark)}: what changed on the frontier at batch size {batch_size}, with the accuracy "
        "to expect on new questions"
    )
    names = ("", "memory", "engine", "tokens", "G", "here", "there")
    table = empty_table(Text(title), names, words=("", "engine"))
    changed = sorted(
        (one for one in points if one.kind != "same"), key=lambda one: ORDER.index(one.kind)
    )
    for one in changed[:MOST_MOVEMENTS]:
        engine, tokens, group = one.place
        memory = {point.memory_bytes for point in (one.here, one.there) if point}
        table.add_row(
            one.kind,
            human_bytes(max(memory)),
            Text(printable(engine)),
            f"{tokens:,}",
            str(group),
            *(percent(point.expected) if point else "–" for point in (one.here, one.there)),
        )
    return table


def lines(found: TwoRuns) -> Iterator[Line]:
    """What the tables leave out: counts, settings that differ, and what only one run has."""
    for one in found.benchmarks:
        yield Line(one.benchmark, _differences_in_words(one))
        for (name, size), points in found.frontiers.items():
            if name == one.benchmark:
                yield Line("", f"frontier at batch size {size}: {_movements_in_words(points)}")
        for places, whose in ((one.only_here, "this run"), (one.only_there, "the other run")):
            if places:
                yield Line("", f"only {whose} has {plural(len(places), 'comparable scenario')}")
    if any(one.kind != "same" for points in found.frontiers.values() for one in points):
        yield Line("frontier", NOT_APART)
    for names, whose in zip(found.lacking, ("this run", "the other run"), strict=True):
        if names:
            yield Line("", f"only {whose} has the benchmarks {', '.join(names)}")
    yield from _settings_in_words(found.settings)


def _differences_in_words(found: Differences) -> str:
    count = plural(len(found.both), "scenario")
    if not found.both:
        return "no scenario is in both runs"
    if not any(one.mean or one.low or one.high for one in found.both):
        return f"all {count} in both runs agree on every question"
    largest = max(abs(one.mean) for one in found.both)
    return (
        f"of {count} in both runs, {found.told_apart:,} differ by more than chance, all judged together "
        f"(beyond {found.critical_value:.2f} standard errors); the largest difference is "
        f"{percentage_points(largest)} points"
    )


def _movements_in_words(points: Iterable[Movement]) -> str:
    counts = Counter(one.kind for one in points)
    words = {"same": "did not change"}
    said = [f"{counts[kind]:,} {words.get(kind, kind)}" for kind in ORDER if counts[kind]]
    return ", ".join(said) or "no point"


def _settings_in_words(settings: tuple[Setting, ...]) -> Iterator[Line]:
    if not settings:
        yield Line("settings", "the runs recorded the same versions, graders and settings")
    for one in settings[:MOST_SETTINGS]:
        text = f"{one.name}: {shown(one.here)} here, {shown(one.there)} there"
        yield Line("differs", text)
    if len(settings) > MOST_SETTINGS:
        yield Line("", f"and {plural(len(settings) - MOST_SETTINGS, 'other setting')}")

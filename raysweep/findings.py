"""What the frontier says, in words: every sentence is computed from the tables.

A frontier is a staircase: at a memory of M bytes the best configuration is its last point at or below
M. So a few round memory points, and where a choice (a model, more than one sample) first appears on
the way up, tell most of the story.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from raysweep.wording import human_bytes, interval, percent, plural, scenario_label

POINTS = 4  # memory points in the summary of a benchmark
LIKELY = 0.5  # a place on the frontier held in at least this share of the bootstrap draws


@dataclass(frozen=True)
class Pick:
    """The best configuration for a memory, all in words."""

    memory: str
    scenario: str
    accuracy: str
    interval: str


@dataclass(frozen=True)
class Finding:
    """What one benchmark's frontiers say. `picks` are at the smallest batch size of the run."""

    benchmark: str
    headline: str
    picks: tuple[Pick, ...]
    notes: tuple[str, ...]


def find(frontier: pd.DataFrame) -> tuple[Finding, ...]:
    """A finding for each benchmark of a frontier table (columns of `tables.FRONTIER`)."""
    return tuple(
        _finding(str(benchmark), points.sort_values("memory_bytes"))
        for benchmark, points in frontier.groupby("benchmark", sort=True)
    )


def _finding(benchmark: str, points: pd.DataFrame) -> Finding:
    """`points` are of one benchmark, all batch sizes, least memory first."""
    alone = points[points.batch_size == points.batch_size.min()]
    memories = memory_points(alone.memory_bytes.tolist(), POINTS)
    notes = (
        _half_of_the_gain(alone),
        _models(alone),
        _samples(alone),
        _kv_policies(alone),
        _batch(points, memories[(len(memories) - 1) // 2]),
        _certainty(alone),
    )
    return Finding(
        benchmark,
        _headline(alone),
        tuple(_pick(alone, memory_bytes) for memory_bytes in memories),
        tuple(note for note in notes if note),
    )


def memory_points(memories_bytes: Sequence[float], count: int) -> tuple[float, ...]:
    """At most `count` round numbers of bytes, between the first frontier point and past the last.

    Of two round numbers with the same best configuration the smaller is kept.
    """
    ordered = sorted(memories_bytes)
    rounds = _round_numbers(ordered[0], ordered[-1])
    steps = {sum(memory <= point for memory in ordered): point for point in reversed(rounds)}
    distinct = sorted(steps.values())
    if len(distinct) <= count:
        return tuple(distinct)
    stride = (len(distinct) - 1) / (count - 1)
    return tuple(distinct[round(i * stride)] for i in range(count))


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, ... times a power of ten, from the first at or above `low` to that of `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    rounds = [float(mantissa * 10**power) for power in powers for mantissa in (1, 2, 5)]
    last = next(number for number in rounds if number >= high)
    return [number for number in rounds if low <= number <= last]


def best_within(points: pd.DataFrame, memory_bytes: float):
    """The frontier point with most accuracy at or below a memory, as a named tuple, or None."""
    affordable = points[points.memory_bytes <= memory_bytes]
    return next(affordable.nlargest(1, "accuracy").itertuples(), None)


def _pick(points: pd.DataFrame, memory_bytes: float) -> Pick:
    best = best_within(points, memory_bytes)
    return Pick(
        human_bytes(memory_bytes),
        scenario_label(best),
        percent(best.accuracy),
        interval(best.accuracy_lo, best.accuracy_hi),
    )


def _headline(points: pd.DataFrame) -> str:
    first, last = points.iloc[0], points.iloc[-1]
    if len(points) == 1:
        return (
            f"One configuration beats all others: {percent(first.accuracy)} "
            f"with {human_bytes(first.memory_bytes)}."
        )
    return (
        f"Accuracy climbs from {percent(first.accuracy)} with {human_bytes(first.memory_bytes)} "
        f"to {percent(last.accuracy)} with {human_bytes(last.memory_bytes)}, "
        f"over {plural(len(points), 'configuration')}."
    )


def _half_of_the_gain(points: pd.DataFrame) -> str:
    if len(points) < 3:
        return ""
    low, high = points.accuracy.iloc[0], points.accuracy.iloc[-1]
    reached = points[points.accuracy >= (low + high) / 2].iloc[0]
    share = reached.memory_bytes / points.memory_bytes.iloc[-1]
    return (
        f"Half of that gain is reached with {human_bytes(reached.memory_bytes)}, "
        f"{share:.0%} of the memory of the most accurate."
    )


def _models(points: pd.DataFrame) -> str:
    entries = points.drop_duplicates("model")
    if len(entries) == 1:
        return f"Every configuration on the frontier uses {entries.model.iloc[0]}."
    steps = [f"{row.model} from {human_bytes(row.memory_bytes)}" for row in entries.itertuples()]
    return "Models join the frontier in this order: " + ", ".join(steps) + "."


def _samples(points: pd.DataFrame) -> str:
    several = points[points.group_size > 1]
    if several.empty:
        return "One sample is enough: no point of the frontier votes over several."
    first, largest = several.iloc[0], int(several.group_size.max())
    return (
        f"Voting over several samples first reaches the frontier at {human_bytes(first.memory_bytes)}; "
        f"{len(several)} of {plural(len(points), 'point')} vote, over at most {largest} samples."
    )


def _kv_policies(points: pd.DataFrame) -> str:
    counts = points.kv_policy.value_counts()
    if len(counts) == 1:
        return f"KV policy: {counts.index[0]} at every point."
    parts = [f"{name} at {count}" for name, count in counts.items()]
    return "KV policy: " + ", ".join(parts) + f" of {plural(len(points), 'point')}."


def _batch(points: pd.DataFrame, memory_bytes: float) -> str:
    """How sharing the weights among a batch changes the best choice at one memory."""
    small, large = points.batch_size.min(), points.batch_size.max()
    alone = best_within(points[points.batch_size == small], memory_bytes)
    shared = best_within(points[points.batch_size == large], memory_bytes)
    if alone is None or shared is None or shared.accuracy <= alone.accuracy:
        return ""
    return (
        f"With the weights shared by a batch of {large}, {human_bytes(memory_bytes)} a question "
        f"reach {percent(shared.accuracy)} instead of {percent(alone.accuracy)}: "
        f"{scenario_label(shared)}."
    )


def _certainty(points: pd.DataFrame) -> str:
    known = points.p_on_frontier.dropna()
    if known.empty:
        return ""
    likely = int((known >= LIKELY).sum())
    return (
        f"{likely} of {plural(len(known), 'point')} keep their place on the frontier in at least "
        f"half of the bootstrap draws of the questions."
    )

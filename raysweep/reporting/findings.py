"""What the frontier says, in words. Every sentence is computed from the tables.

A frontier is a staircase: with M bytes the best configuration is its last point at or below M. So it is
summarised by the best at a few round memories, and by the memories at which a choice (a model, more than
one sample) first appears. Its accuracies are those to expect on new questions, not those that were measured
on the questions that also chose its points.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.reporting.inflation_text import inflation_notes
from raysweep.reporting.results import Point, Results, points_of
from raysweep.reporting.study_findings import study_notes
from raysweep.system.quantities import (
    human_bytes,
    interval,
    percent,
    percentage_points,
    plural,
)

# The number of memories in the summary of a benchmark.
MEMORY_POINTS = 4

# A place on the frontier is likely if at least this share of the bootstrap draws confirms it.
LIKELY = 0.5

# The points of a frontier, least memory first.
Points = Sequence[Point]


@dataclass(frozen=True)
class Pick:
    """The best configuration within a memory, in words."""

    memory: str
    configuration: str
    accuracy: str
    interval: str


@dataclass(frozen=True)
class Finding:
    """What the frontiers of one benchmark say. `picks` are at the smallest batch size of the run."""

    benchmark: str
    headline: str
    picks: tuple[Pick, ...]
    notes: tuple[str, ...]


def find(results: Results) -> tuple[Finding, ...]:
    """A finding for each benchmark, from the frontiers of all batch sizes."""
    names = sorted(set(results.frontier.benchmark))
    return tuple(
        _finding(
            points_of(own.frontier),
            (*study_notes(own), *inflation_notes(own)),
            len(own.scenarios),
        )
        for own in map(results.of, names)
    )


def _finding(points: Points, study: Sequence[str], compared: int) -> Finding:
    """The finding of one benchmark's points.

    study     the answers to the study's questions
    compared  the number of configurations from which the points were chosen
    """
    alone = at_batch(points, min(point.batch_size for point in points))
    memories = memory_points([point.memory_bytes for point in alone], MEMORY_POINTS)
    notes = (
        _expected(alone, compared),
        _half_of_the_gain(alone),
        _models(alone),
        _samples(alone),
        _kv_policies(alone),
        _batch(points, memories[(len(memories) - 1) // 2]),
        *study,
        _certainty(alone),
    )
    picks = [_pick(alone, memory_bytes) for memory_bytes in memories]
    return Finding(
        benchmark=points[0].benchmark,
        headline=_headline(alone),
        picks=tuple(pick for pick in picks if pick),
        notes=tuple(note for note in notes if note),
    )


def at_batch(points: Points, batch_size: int) -> list[Point]:
    return [point for point in points if point.batch_size == batch_size]


def memory_points(memories_bytes: Sequence[float], count: int) -> tuple[float, ...]:
    """At most `count` round numbers of bytes, from the first frontier point to beyond the last.

    Of two round numbers with the same best configuration, the smaller is kept.
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
    """1, 2 and 5 times the powers of ten, from `low` up to the first number at or above `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    rounds = [float(mantissa * 10**power) for power in powers for mantissa in (1, 2, 5)]
    last = next(number for number in rounds if number >= high)
    return [number for number in rounds if low <= number <= last]


def best_point(points: Points, memory_bytes: float) -> Point | None:
    """The last point of a frontier within a memory, which is the best; None if none fits."""
    within = [point for point in points if point.memory_bytes <= memory_bytes]
    return max(within, key=lambda point: point.memory_bytes, default=None)


def _pick(points: Points, memory_bytes: float) -> Pick | None:
    best = best_point(points, memory_bytes)
    return best and Pick(
        memory=human_bytes(memory_bytes),
        configuration=best.configuration.in_words(),
        accuracy=percent(best.expected),
        interval=interval(best.expected_lo, best.expected_hi),
    )


def _headline(points: Points) -> str:
    first, last = points[0], points[-1]
    if len(points) == 1:
        return (
            f"The frontier has one configuration: {percent(first.expected)} are expected "
            f"with {human_bytes(first.memory_bytes)}."
        )
    return (
        f"Expected accuracy rises from {percent(first.expected)} at {human_bytes(first.memory_bytes)} "
        f"to {percent(last.expected)} at {human_bytes(last.memory_bytes)}, "
        f"over {plural(len(points), 'configuration')} on the frontier."
    )


def _expected(points: Points, compared: int) -> str:
    """What the accuracies are, and how far those are from it that were measured."""
    bias = sum(point.accuracy - point.expected for point in points) / len(points)
    side = "above" if bias >= 0 else "below"
    return (
        f"Each configuration is the best of up to {compared:,} within its memory. Its accuracy is the one to "
        "expect on new questions. What was measured on the questions that also chose it lies "
        f"{percentage_points(abs(bias))} points {side} that on average."
    )


def _half_of_the_gain(points: Points) -> str:
    if len(points) < 3:
        return ""
    first, last = points[0], points[-1]
    half = (first.expected + last.expected) / 2
    reached = next(point for point in points if point.expected >= half)
    return (
        f"Half of that gain takes {human_bytes(reached.memory_bytes)}, "
        f"{reached.memory_bytes / last.memory_bytes:.0%} of the memory of the most accurate one."
    )


def _models(points: Points) -> str:
    # Walking down, the last point that is kept for a model is its first on the frontier.
    first_of = {point.configuration.model: point for point in reversed(points)}
    if len(first_of) == 1:
        return f"Every configuration on the frontier uses {points[0].configuration.model}."
    ordered = sorted(first_of.items(), key=lambda entry: entry[1].memory_bytes)
    steps = [f"{model} from {human_bytes(point.memory_bytes)}" for model, point in ordered]
    return "Models appear on the frontier in this order: " + ", ".join(steps) + "."


def _samples(points: Points) -> str:
    voting = [point for point in points if point.configuration.votes]
    if not voting:
        return "No configuration on the frontier votes over several samples."
    use = "uses" if len(voting) == 1 else "use"
    largest = max(point.configuration.group_size for point in voting)
    return (
        f"{len(voting)} of {plural(len(points), 'configuration')} on the frontier {use} voting, "
        f"the first at {human_bytes(voting[0].memory_bytes)}, over at most {largest} samples."
    )


def _kv_policies(points: Points) -> str:
    counts = Counter(point.configuration.kv_policy for point in points).most_common()
    if len(counts) == 1:
        return f"Every configuration on the frontier uses the KV policy {counts[0][0]}."
    parts = [f"{name} ({count})" for name, count in counts]
    return (
        "KV policies on the frontier, with their number of configurations: "
        + ", ".join(parts)
        + "."
    )


def _batch(points: Points, memory_bytes: float) -> str:
    """How the largest batch, which shares the weights, changes the best choice at one memory."""
    sizes = [point.batch_size for point in points]
    alone = best_point(at_batch(points, min(sizes)), memory_bytes)
    shared = best_point(at_batch(points, max(sizes)), memory_bytes)
    if alone is None or shared is None or shared.expected <= alone.expected:
        return ""
    return (
        f"If a batch of {max(sizes)} shares the weights, {human_bytes(memory_bytes)} per question give "
        f"{percent(shared.expected)} instead of {percent(alone.expected)}, with "
        f"{shared.configuration.in_words()}."
    )


def _certainty(points: Points) -> str:
    known = [p.p_on_frontier for p in points if not math.isnan(p.p_on_frontier)]
    if not known:
        return ""
    likely = sum(share >= LIKELY for share in known)
    stay = "stays" if likely == 1 else "stay"
    return (
        f"{likely} of {plural(len(known), 'configuration')} {stay} on the frontier in at least "
        "half of the bootstrap draws of the questions, by each draw's estimates."
    )

"""What the frontier says, in words: every sentence is computed from the tables.

A frontier is a staircase: with M bytes the best configuration is its last point at or below M. So a
few round memory points, and where a choice (a model, more than one sample) first appears on the way
up, tell most of the story.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.reporting.results import Point, Results, points_of
from raysweep.reporting.study_findings import study_notes
from raysweep.system.quantities import human_bytes, interval, percent, plural

MEMORY_POINTS = 4  # in the summary of a benchmark
LIKELY = 0.5  # a place on the frontier held in at least this share of the bootstrap draws

Points = Sequence[Point]  # least memory first


@dataclass(frozen=True)
class Pick:
    """The best configuration for a memory, all in words."""

    memory: str
    configuration: str
    accuracy: str
    interval: str


@dataclass(frozen=True)
class Finding:
    """What one benchmark's frontiers say. `picks` are at the smallest batch size of the run."""

    benchmark: str
    headline: str
    picks: tuple[Pick, ...]
    notes: tuple[str, ...]


def find(results: Results) -> tuple[Finding, ...]:
    """A finding for each benchmark, from the frontiers of all batch sizes."""
    names = sorted(set(results.frontier.benchmark))
    return tuple(
        _finding(points_of(own.frontier), tuple(study_notes(own))) for own in map(results.of, names)
    )


def _finding(points: Points, study: Sequence[str]) -> Finding:
    """`points` are of one benchmark, `study` is what the study's questions found there."""
    alone = at_batch(points, min(point.batch_size for point in points))
    memories = memory_points([point.memory_bytes for point in alone], MEMORY_POINTS)
    notes = (
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
    """At most `count` round numbers of bytes, from the first frontier point to past the last.

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
    """1, 2, 5, 10, ... times a power of ten: those at or above `low`, up to the first past `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    rounds = [float(mantissa * 10**power) for power in powers for mantissa in (1, 2, 5)]
    last = next(number for number in rounds if number >= high)
    return [number for number in rounds if low <= number <= last]


def best_within(points: Points, memory_bytes: float) -> Point | None:
    """The point with most accuracy at or below a memory, None if there is none."""
    affordable = [point for point in points if point.memory_bytes <= memory_bytes]
    return max(affordable, key=lambda point: point.accuracy, default=None)


def _pick(points: Points, memory_bytes: float) -> Pick | None:
    best = best_within(points, memory_bytes)
    return best and Pick(
        memory=human_bytes(memory_bytes),
        configuration=_in_words(best),
        accuracy=percent(best.accuracy),
        interval=interval(best.accuracy_lo, best.accuracy_hi),
    )


def _in_words(point: Point) -> str:
    tokens, samples = plural(point.token_budget, "token"), plural(point.group_size, "sample")
    return f"{point.model}, {point.weights}, {point.kv_policy} KV, {tokens}, {samples}"


def _headline(points: Points) -> str:
    first, last = points[0], points[-1]
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


def _half_of_the_gain(points: Points) -> str:
    if len(points) < 3:
        return ""
    first, last = points[0], points[-1]
    half = (first.accuracy + last.accuracy) / 2
    reached = next(point for point in points if point.accuracy >= half)
    return (
        f"Half of that gain is reached with {human_bytes(reached.memory_bytes)}, "
        f"{reached.memory_bytes / last.memory_bytes:.0%} of the memory of the most accurate."
    )


def _models(points: Points) -> str:
    entries = {point.model: point for point in reversed(points)}  # the first point of each
    if len(entries) == 1:
        return f"Every configuration on the frontier uses {points[0].model}."
    ordered = sorted(entries.values(), key=lambda point: point.memory_bytes)
    steps = [f"{point.model} from {human_bytes(point.memory_bytes)}" for point in ordered]
    return "Models join the frontier in this order: " + ", ".join(steps) + "."


def _samples(points: Points) -> str:
    several = [point for point in points if point.group_size > 1]
    vote = "votes" if len(several) == 1 else "vote"
    if not several:
        return "One sample is enough: no point of the frontier votes over several."
    largest = max(point.group_size for point in several)
    return (
        "Voting over several samples first reaches the frontier at "
        f"{human_bytes(several[0].memory_bytes)}; {len(several)} of "
        f"{plural(len(points), 'point')} {vote}, over at most {largest} samples."
    )


def _kv_policies(points: Points) -> str:
    counts = Counter(point.kv_policy for point in points).most_common()
    if len(counts) == 1:
        return f"KV policy: {counts[0][0]} at every point."
    parts = [f"{name} at {count}" for name, count in counts]
    return "KV policy: " + ", ".join(parts) + f" of {plural(len(points), 'point')}."


def _batch(points: Points, memory_bytes: float) -> str:
    """How sharing the weights among the largest batch changes the best choice at one memory."""
    sizes = [point.batch_size for point in points]
    alone = best_within(at_batch(points, min(sizes)), memory_bytes)
    shared = best_within(at_batch(points, max(sizes)), memory_bytes)
    if alone is None or shared is None or shared.accuracy <= alone.accuracy:
        return ""
    return (
        f"With the weights shared by a batch of {max(sizes)}, {human_bytes(memory_bytes)} a question "
        f"reach {percent(shared.accuracy)} instead of {percent(alone.accuracy)}: "
        f"{_in_words(shared)}."
    )


def _certainty(points: Points) -> str:
    known = [p.p_on_frontier for p in points if not math.isnan(p.p_on_frontier)]
    if not known:
        return ""
    likely = sum(share >= LIKELY for share in known)
    keep = "keeps its place" if likely == 1 else "keep their place"
    return (
        f"{likely} of {plural(len(known), 'point')} {keep} on the frontier in at least "
        "half of the bootstrap draws of the questions."
    )

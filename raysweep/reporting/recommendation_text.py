"""The stage recommend: the recommendation for each benchmark and how to serve it, as text and as JSON.

`recommend` chooses a configuration and `serving` says how to run it. This module gives them what the
run's folder holds, and turns their answers into recommendation.json and a text for the terminal.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from raysweep.analysis.candidates import Candidate, Candidates
from raysweep.analysis.recommend import Alternative, Neighbour, Recommendation, recommend
from raysweep.errors import ConfigError
from raysweep.planning.grid import engines
from raysweep.reporting.results import read_candidates
from raysweep.reporting.serving import Serving, serving
from raysweep.run_config import RunConfig
from raysweep.spec import Benchmark, EngineSpec
from raysweep.storage.store import Store
from raysweep.system.quantities import human_bytes, interval, percent, percentage_points, plural
from raysweep.system.safe_text import printable

FILE = "recommendation.json"

# The number of alternatives in the terminal and in the file.
MOST_SHOWN, MOST_KEPT = 3, 20

# The columns of a candidate that recommendation.json leaves out.
LEFT_OUT = ("benchmark", "kv_kind", "prompt_tokens", "complete", "stopped_at")
ACCURACY = ("accuracy", "accuracy_lo", "accuracy_hi")


@dataclass(frozen=True)
class ServedRecommendation:
    """What is recommended, and how to serve it."""

    recommendation: Recommendation
    serving: Serving

    def text(self) -> Text:
        return Text(printable("\n".join(_lines(self.recommendation, self.serving)), lines=True))

    def as_json(self) -> dict[str, Any]:
        found, served = self.recommendation, self.serving
        return {
            "benchmark": found.benchmark,
            "memory_bytes": found.memory_bytes,
            "batch_size": found.batch_size,
            "best": {**_described(found.best), "memory_bytes": found.best_memory_bytes},
            "accuracy": found.accuracy,
            "accuracy_lo": found.accuracy_lo,
            "accuracy_hi": found.accuracy_hi,
            "measured": found.measured,
            "considered": found.considered,
            "compared": found.compared,
            "not_told_apart": len(found.alternatives),
            "alternatives": [_alternative(one) for one in found.alternatives[:MOST_KEPT]],
            "with_less_memory": found.less and _neighbour(found.less),
            "with_more_memory": found.more and _neighbour(found.more),
            "serving": {
                "backend": served.backend,
                "command": served.command,
                "request": dict(served.request),
                "notes": list(served.notes),
            },
        }


def recommendations(config: RunConfig, store: Store) -> list[ServedRecommendation]:
    """A recommendation for each benchmark that is asked for.

    Raises ConfigError where nothing fits the memory, or nothing of the sweep has been reduced.
    """
    wish, known = config.recommend, {one.engine_id: one for one in engines(config)}
    assert wish.memory_bytes is not None  # the configuration was checked for it
    reduced = read_candidates(store)
    found = []
    for benchmark in config.sweep.benchmarks:
        if wish.benchmark in (None, benchmark.name):
            own = _of_the_sweep(reduced.get(benchmark.name), known, benchmark)
            chosen = recommend(own, wish.memory_bytes, wish.batch_size, wish.max_token_budget)
            found.append(ServedRecommendation(chosen, _serving(chosen, known, benchmark)))
    return found


def write_recommendations(found: list[ServedRecommendation], store: Store) -> str:
    """Write recommendation.json, and return its address."""
    store.write_text(FILE, json.dumps([one.as_json() for one in found], indent=2) + "\n")
    return store.path(FILE)


def _of_the_sweep(
    reduced: Candidates | None, known: dict[str, EngineSpec], benchmark: Benchmark
) -> Candidates:
    """The candidates whose engines are in the sweep. The folder may hold those of a larger sweep."""
    chosen = reduced.configurations if reduced else ()
    own = [index for index, one in enumerate(chosen) if one.engine_id in known]
    if not own or reduced is None:
        raise ConfigError(
            f"recommend.benchmark: {benchmark.name!r} has no scenarios yet; run the stages 'generate' "
            "and 'reduce' first"
        )
    return reduced.take(own)


def _serving(chosen: Recommendation, known: dict[str, EngineSpec], benchmark: Benchmark) -> Serving:
    engine = known[chosen.best.configuration.engine_id]
    return serving(engine, benchmark, chosen.best, chosen.batch_size, engine.checkpoint)


def _described(candidate: Candidate) -> dict[str, Any]:
    columns = candidate.columns()
    return {name: columns[name] for name in columns if name not in (*LEFT_OUT, *ACCURACY)}


def _alternative(one: Alternative) -> dict[str, Any]:
    return {
        **_described(one.candidate),
        "memory_bytes": one.memory_bytes,
        "accuracy": one.candidate.accuracy,
        "behind": one.behind,
        "behind_lo": one.behind_lo,
        "behind_hi": one.behind_hi,
    }


def _neighbour(one: Neighbour) -> dict[str, Any]:
    return {
        **_described(one.candidate),
        "memory_bytes": one.memory_bytes,
        "accuracy": one.expected,
        "gain": one.gain,
        "gain_lo": one.gain_lo,
        "gain_hi": one.gain_hi,
    }


def _lines(found: Recommendation, served: Serving) -> Iterator[str]:
    batch = "" if found.batch_size == 1 else f" for a batch of {found.batch_size} questions"
    yield f"{found.benchmark} within {human_bytes(found.memory_bytes)}{batch}:"
    yield f"  {found.best.configuration.in_words()}"
    yield (
        f"  takes {human_bytes(found.best_memory_bytes)}; expected accuracy on new questions "
        f"{percent(found.accuracy)}, 95% interval {interval(found.accuracy_lo, found.accuracy_hi)}"
    )
    yield f"  {measured_in_words(found.measured, found.considered)}"
    yield from _alternatives(found)
    yield from _neighbours(found)
    yield f"  serve it with {served.backend}:"
    yield f"    {served.command}"
    if served.request:
        yield f"    and with every request: {json.dumps(dict(served.request))}"
    yield from (f"    ({note})" for note in served.notes)
    yield ""


def measured_in_words(measured: float, considered: int) -> str:
    """`measured 68.8%, chosen from 525 that fit`; words.js has a twin."""
    chosen = "the only one that fits" if considered == 1 else f"chosen from {considered:,} that fit"
    return f"measured {percent(measured)}, {chosen}"


def _alternatives(found: Recommendation) -> Iterator[str]:
    if not found.compared:
        return
    if not found.alternatives:
        yield f"  {each_is_worse_in_words(found.compared)}"
        return
    said = indistinguishable_in_words(len(found.alternatives), found.compared)
    yield f"  {said} by a test of all comparisons at once, among them"
    smallest = min(found.alternatives, key=lambda one: one.memory_bytes)
    shown = list(found.alternatives[:MOST_SHOWN])
    for one in [*shown, *([smallest] if smallest not in shown else [])]:
        yield (
            f"    {one.candidate.configuration.in_words()}: {human_bytes(one.memory_bytes)}, "
            f"measured {percent(one.candidate.accuracy)}, {_behind(one)}"
        )


def each_is_worse_in_words(compared: int) -> str:
    """`each of the 524 others is significantly worse`; words.js has a twin."""
    if compared == 1:
        return "the other configuration is significantly worse"
    return f"each of the {compared:,} others is significantly worse"


def indistinguishable_in_words(count: int, compared: int) -> str:
    """`2 of 524 others are statistically indistinguishable`; words.js has a twin."""
    are = "is" if count == 1 else "are"
    return f"{count:,} of {plural(compared, 'other')} {are} statistically indistinguishable"


def _neighbours(found: Recommendation) -> Iterator[str]:
    if less := found.less:
        yield f"  with less memory, {_expected(less, 'worse')}"
    if found.more is None:
        yield "  with more memory: no other has a better estimate"
        return
    yield f"  with more memory, {_expected(found.more, 'better')}"


def _expected(one: Neighbour, side: str) -> str:
    return (
        f"{human_bytes(one.memory_bytes)}: {one.candidate.configuration.in_words()}, "
        f"expected {percent(one.expected)}, {_gain(one, side)}"
    )


def _gain(one: Neighbour, side: str) -> str:
    """`1.2 points better (95% interval −0.3 to 2.7)`; words.js has a twin."""
    if one.gain == 0:
        return "no gain expected" if side == "better" else "no loss expected"
    return (
        f"{percentage_points(one.gain)} points {side} "
        f"(95% interval {percentage_points(one.gain_lo)} to {percentage_points(one.gain_hi)})"
    )


def _behind(one: Alternative) -> str:
    """`1.2 points worse (95% interval −0.3 to 2.7)`, or better, with the interval of what is said.

    Intervals of all others hold at once.
    """
    side, sign = ("worse", 1) if one.behind >= 0 else ("better", -1)
    low, high = sorted((sign * one.behind_lo, sign * one.behind_hi))
    return (
        f"{percentage_points(abs(one.behind))} points {side} "
        f"(95% interval {percentage_points(low)} to {percentage_points(high)})"
    )

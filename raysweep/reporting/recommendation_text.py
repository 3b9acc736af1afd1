"""The stage recommend: the recommendation of each benchmark, how it is served, and both in words.

`recommend` chooses and `serving` says how to run it; here they are given what lies in the run's folder,
and their answer becomes recommendation.json and a text for the terminal.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from raysweep.analysis.candidates import Candidates, Row
from raysweep.analysis.recommend import Alternative, Recommendation, recommend
from raysweep.errors import ConfigError
from raysweep.planning.grid import engines
from raysweep.reporting.results import read_candidates
from raysweep.reporting.serving import Serving, serving
from raysweep.run_config import RunConfig
from raysweep.spec import Benchmark, EngineSpec
from raysweep.storage.store import Store
from raysweep.system.quantities import human_bytes, interval, percent, plural, weights_label
from raysweep.system.safe_text import printable

FILE = "recommendation.json"
MOST_SHOWN = 3  # alternatives in the terminal
MOST_KEPT = 20  # and in the file
DESCRIBED = (
    *("engine_id", "model", "weight_method", "weight_bits", "kv_policy"),
    *("token_budget", "group_size", "weights_bytes", "kv_bytes", "kv_peak_bytes"),
)


@dataclass(frozen=True)
class Answer:
    """What is recommended, and how it is served."""

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
            "optimism": found.optimism,
            "considered": found.considered,
            "not_told_apart": len(found.alternatives),
            "alternatives": [_choice(one) for one in found.alternatives[:MOST_KEPT]],
            "with_less_memory": found.less and _choice(found.less),
            "with_more_memory": found.more and _choice(found.more),
            "serving": {
                "backend": served.backend,
                "command": served.command,
                "request": dict(served.request),
                "notes": list(served.notes),
            },
        }


def answers(config: RunConfig, store: Store) -> list[Answer]:
    """An answer for each benchmark that is asked for.

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
            found.append(Answer(chosen, _serving(chosen, known, benchmark)))
    return found


def write_recommendations(found: list[Answer], store: Store) -> str:
    """Write recommendation.json; where it is."""
    store.write_text(FILE, json.dumps([answer.as_json() for answer in found], indent=2) + "\n")
    return store.path(FILE)


def _of_the_sweep(
    reduced: Candidates | None, known: dict[str, EngineSpec], benchmark: Benchmark
) -> Candidates:
    """The scenarios of engines that are in the sweep: a folder may hold those of a larger one."""
    rows = reduced.rows if reduced else ()
    own = [index for index, row in enumerate(rows) if row["engine_id"] in known]
    if not own or reduced is None:
        raise ConfigError(
            f"recommend.benchmark: {benchmark.name!r} has no scenario yet; run the stages 'generate' and "
            "'reduce' first"
        )
    return reduced.take(own)


def _serving(chosen: Recommendation, known: dict[str, EngineSpec], benchmark: Benchmark) -> Serving:
    engine = known[chosen.best["engine_id"]]
    return serving(engine, benchmark, chosen.best, chosen.batch_size, engine.checkpoint)


def _described(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in DESCRIBED}


def _choice(one: Alternative) -> dict[str, Any]:
    return {
        **_described(one.row),
        "memory_bytes": one.memory_bytes,
        "accuracy": one.row["accuracy"],
        "behind": one.behind,
        "behind_lo": one.behind_lo,
        "behind_hi": one.behind_hi,
    }


def _lines(found: Recommendation, served: Serving) -> Iterator[str]:
    batch = "" if found.batch_size == 1 else f", {found.batch_size} questions at once"
    yield f"{found.benchmark} within {human_bytes(found.memory_bytes)}{batch}:"
    yield f"  {in_words(found.best)}"
    yield (
        f"  takes {human_bytes(found.best_memory_bytes)}; expected {percent(found.accuracy)} "
        f"({interval(found.accuracy_lo, found.accuracy_hi)}), the best of "
        f"{plural(found.considered, 'configuration')} that fit, which measured {percent(found.measured)}"
    )
    yield from _alternatives(found)
    yield from _neighbours(found)
    yield f"  serve it with {served.backend}:"
    yield f"    {served.command}"
    if served.request:
        yield f"    and with every request: {json.dumps(dict(served.request))}"
    yield from (f"    ({note})" for note in served.notes)
    yield ""


def _alternatives(found: Recommendation) -> Iterator[str]:
    if not found.alternatives:
        yield "  every other one that fits is worse by more than chance"
        return
    yield f"  not told apart from it: {plural(len(found.alternatives), 'other')}, among them"
    frugal = min(found.alternatives, key=lambda one: one.memory_bytes)
    shown = list(found.alternatives[:MOST_SHOWN])
    for one in [*shown, *([frugal] if frugal not in shown else [])]:
        yield (
            f"    {in_words(one.row)}: {human_bytes(one.memory_bytes)}, {percent(one.row['accuracy'])}, "
            f"behind by {_points(one)}"
        )


def _neighbours(found: Recommendation) -> Iterator[str]:
    if found.less:
        yield (
            f"  with less, {human_bytes(found.less.memory_bytes)}: {in_words(found.less.row)}, "
            f"behind by {_points(found.less)}"
        )
    if found.more is None:
        yield "  with more memory: nothing better was measured"
        return
    more = found.more
    yield (
        f"  with more, {human_bytes(more.memory_bytes)}: {in_words(more.row)}, ahead by "
        f"{percent(-more.behind)} ({interval(-more.behind_hi, -more.behind_lo)})"
    )


def _points(one: Alternative) -> str:
    return f"{percent(one.behind)} ({interval(one.behind_lo, one.behind_hi)})"


def in_words(row: Row) -> str:
    """`qwen3-8b gptq4, full KV, 18,000 tokens, 4 samples`."""
    weights = weights_label(row["weight_method"], row["weight_bits"])
    return (
        f"{row['model']} {weights}, {row['kv_policy']} KV, {plural(row['token_budget'], 'token')}, "
        f"{plural(row['group_size'], 'sample')}"
    )

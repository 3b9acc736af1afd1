"""How far a run is: what is there and what is missing, by engine. Needs no Ray, and writes no file.

The one idea: what has been done is what lies in the folder, so a run can be looked at while it goes on,
from any machine that reaches the folder, with the command line that started it.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from raysweep.monitoring.snapshot import PROGRESS, EngineProgress, Snapshot
from raysweep.planning.plan import Plan, PlannedShard
from raysweep.progress.display import in_words
from raysweep.storage.record import read_summary
from raysweep.storage.store import Store
from raysweep.system.quantities import duration, plural

MOST_NAMED = 12  # engines with work left, those with most of it first
SAMPLES, RESULTS, PAGE = "samples", "scenarios.parquet", "report/index.html"


@dataclass(frozen=True)
class Progress:
    """progress.json: how far a generate stage was, and when."""

    when: datetime
    snapshot: Snapshot


@dataclass(frozen=True)
class EngineStatus:
    """Samples of an engine over all benchmarks: those there, and those wanted."""

    engine_id: str
    backend: str
    samples: int
    wanted: int
    shards_left: int


@dataclass(frozen=True)
class Status:
    """A run's folder as it is now.

    written   when the newest part of samples, and each of the results that are there, was written
    summary   summary.json, which the stages that have ended add to
    progress  of the generate stage that goes on, or of the last one
    """

    engines: tuple[EngineStatus, ...]
    written: Mapping[str, datetime]
    summary: Mapping[str, Any]
    progress: Progress | None = None

    @property
    def left(self) -> int:
        """Shards of the run that are not there."""
        return sum(engine.shards_left for engine in self.engines)


def read_status(planned: Plan, store: Store) -> Status:
    """What the plan says of the samples, and what else the folder holds."""
    engines = tuple(by_engine(planned))
    return Status(engines, last_written(store), read_summary(store), read_progress(store))


def by_engine(planned: Plan) -> Iterator[EngineStatus]:
    shards: dict[str, list[PlannedShard]] = defaultdict(list)
    for shard in planned.shards:
        shards[shard.engine_id].append(shard)
    for engine in planned.engines:
        own = shards[engine.engine_id]
        left = [shard for shard in own if shard.shard is not None]
        wanted, missing = (sum(shard.samples for shard in each) for each in (own, left))
        yield EngineStatus(engine.engine_id, engine.backend, wanted - missing, wanted, len(left))


def last_written(store: Store) -> dict[str, datetime]:
    """When the newest part and the results were written, of those that are there."""
    found = {name: store.folder.last_written(name) for name in (SAMPLES, RESULTS, PAGE)}
    return {name: when for name, when in found.items() if when is not None}


def read_progress(store: Store) -> Progress | None:
    """What the generate stage that goes on, or the last one, has noted; None if it cannot be read."""
    try:
        noted = json.loads(store.read_text(PROGRESS)) if store.exists(PROGRESS) else None
        if noted is None:
            return None
        when = datetime.fromisoformat(noted.pop("written_at"))
        noted.pop("epoch", None)
        engines = tuple(EngineProgress(**engine) for engine in noted.pop("engines"))
        return Progress(when, Snapshot(engines, **noted))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def lines(status: Status, now: float | None = None) -> Iterator[tuple[str, str]]:
    """What there is to say, as (label, text), most important first."""
    samples, wanted = (
        sum(getattr(e, name) for e in status.engines) for name in ("samples", "wanted")
    )
    yield "samples", f"{samples:,} of {wanted:,} are there; {plural(status.left, 'shard')} left"
    now = time.time() if now is None else now
    if newest := status.written.get(SAMPLES):
        yield "newest", f"part written {ago(newest, now)}"
    if status.progress is not None:
        yield "progress", f"{in_words(status.progress.snapshot)} ({ago(status.progress.when, now)})"
    yield from engine_lines(status.engines)
    if "wall_s" in status.summary:
        yield "so far", spent(status.summary)
    for warning in status.summary.get("warnings", ()):
        yield "warning", warning
    yield "results", results(status)


def ago(when: datetime, now: float) -> str:
    return f"{duration(max(0.0, now - when.timestamp()))} ago"


def engine_lines(engines: Iterable[EngineStatus]) -> Iterator[tuple[str, str]]:
    """Engines with work left, most first, and how many have none."""
    engines = tuple(engines)
    open_ones = sorted((e for e in engines if e.shards_left), key=lambda e: e.samples - e.wanted)
    yield "engines", f"{len(engines) - len(open_ones):,} of {len(engines):,} complete"
    for engine in open_ones[:MOST_NAMED]:
        yield (
            "",
            f"{engine.engine_id} ({engine.backend}): {engine.samples:,} of {engine.wanted:,} samples, "
            f"{plural(engine.shards_left, 'shard')} left",
        )
    if len(open_ones) > MOST_NAMED:
        yield "", f"and {len(open_ones) - MOST_NAMED:,} other engines with work left"


def spent(summary: Mapping[str, Any]) -> str:
    """Time and faults of the generate stages that have ended; one that runs still is not in it."""
    hours = f", {summary['gpu_hours']:.2f} GPU-hours" if summary.get("gpu_hours") else ""
    faults = plural(summary.get("faults_survived", 0), "fault")
    kinds = ", ".join(
        f"{count:,} {kind}" for kind, count in summary.get("faults_by_kind", {}).items()
    )
    said = f"{faults} survived" + (f" ({kinds})" if kinds else "")
    return f"{duration(summary['wall_s'])} of generating{hours}, {said}"


def results(status: Status) -> str:
    """Whether the results are there and as new as the samples."""
    written = status.written
    if RESULTS not in written:
        return "none yet: stages=[reduce,report] makes them of the samples that are there"
    if written[RESULTS] < written.get("samples", written[RESULTS]):
        return "older than the newest samples: stages=[reduce,report] makes them anew"
    if PAGE not in written:
        return f"{RESULTS}; no report yet: stages=[report]"
    if written[PAGE] < written[RESULTS]:
        return f"{RESULTS}; the report is older: stages=[report]"
    return f"{RESULTS} and {PAGE}, of all samples that are there"

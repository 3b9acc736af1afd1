"""How far a run is: finished and missing samples by engine. It needs no Ray and writes no file.

The one idea: the folder holds all that has been done. A run can therefore be looked at while it goes on, from
any machine that reaches the folder, with the command line that started it.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from raysweep.planning.plan import Plan, PlannedShard
from raysweep.progress.display import snapshot_text
from raysweep.progress.nodes_json import node_lines, read_nodes
from raysweep.progress.progress_json import Progress, read_progress
from raysweep.storage import result_files
from raysweep.storage.store import Store
from raysweep.storage.summary import read_summary
from raysweep.system.node_report import NodeReport
from raysweep.system.quantities import duration, plural

# Lists this many unfinished engines at most, those with most work left first.
MOST_NAMED = 12

# The folder of samples, and the table that stands for the results of reduce.
SAMPLES, RESULTS = "samples", result_files.SCENARIOS


@dataclass(frozen=True)
class EngineStatus:
    """The finished and the wanted samples of an engine over all benchmarks."""

    engine_id: str
    backend: str
    samples: int
    wanted: int
    shards_left: int


@dataclass(frozen=True)
class Status:
    """A run's folder as it is now.

    written   when the newest part of samples, the results and the page were written, as far as they exist
    summary   summary.json, to which each stage adds when it has ended
    progress  progress of the generate stage that is running, or of the last one
    nodes     what the nodes of that stage's cluster said before it
    """

    engines: tuple[EngineStatus, ...]
    written: Mapping[str, datetime]
    summary: Mapping[str, Any]
    progress: Progress | None = None
    nodes: tuple[NodeReport, ...] = ()

    @property
    def left(self) -> int:
        """Missing shards of the run."""
        return sum(engine.shards_left for engine in self.engines)


def read_status(planned: Plan, store: Store, newest: datetime | None) -> Status:
    """The status of a run, from its plan and its folder.

    newest  when the newest part was written; None if there is none
    """
    engines = tuple(by_engine(planned))
    written, summary = last_written(store, newest), read_summary(store)
    return Status(engines, written, summary, read_progress(store), read_nodes(store))


def by_engine(planned: Plan) -> Iterator[EngineStatus]:
    shards: dict[str, list[PlannedShard]] = defaultdict(list)
    for shard in planned.shards:
        shards[shard.engine_id].append(shard)
    for engine in planned.engines:
        own = shards[engine.engine_id]
        left = [shard for shard in own if shard.shard is not None]
        # A sample that is made again, up to more token budgets, counts as missing alone.
        wanted = sum(shard.samples - shard.again for shard in own)
        missing = sum(shard.samples for shard in left)
        yield EngineStatus(engine.engine_id, engine.backend, wanted - missing, wanted, len(left))


def last_written(store: Store, newest: datetime | None) -> dict[str, datetime]:
    """When the newest part, the results and the page were written, as far as they exist."""
    tables = {name: store.folder.last_written(name) for name in (RESULTS, result_files.PAGE)}
    return {name: when for name, when in {SAMPLES: newest, **tables}.items() if when is not None}


def lines(status: Status, now: float | None = None) -> Iterator[tuple[str, str]]:
    """The status as lines of (label, text), most important first."""
    samples, wanted = (
        sum(getattr(e, name) for e in status.engines) for name in ("samples", "wanted")
    )
    missing = f"; {plural(status.left, 'shard')} missing" if status.left else ""
    yield "samples", f"{samples:,} of {wanted:,} are finished{missing}"
    now = time.time() if now is None else now
    if newest := status.written.get(SAMPLES):
        yield "newest", f"part was written {ago(newest, now)}"
    if status.progress is not None:
        yield (
            "progress",
            f"{snapshot_text(status.progress.snapshot)} ({ago(status.progress.when, now)})",
        )
    yield from engine_lines(status.engines)
    if "wall_s" in status.summary:
        yield "so far", spent(status.summary)
    for warning in status.summary.get("warnings", ()):
        yield "warning", warning
    for text in node_lines(status.nodes):
        yield "node", text
    yield "results", results(status)


def ago(when: datetime, now: float) -> str:
    return f"{duration(max(0.0, now - when.timestamp()))} ago"


def engine_lines(engines: Iterable[EngineStatus]) -> Iterator[tuple[str, str]]:
    """How many engines are finished, and the others with most work left first."""
    engines = tuple(engines)
    unfinished = sorted((e for e in engines if e.shards_left), key=lambda e: e.samples - e.wanted)
    yield "engines", f"{len(engines) - len(unfinished):,} of {len(engines):,} are finished"
    for engine in unfinished[:MOST_NAMED]:
        yield (
            "",
            f"{engine.engine_id} ({engine.backend}): {engine.samples:,} of {engine.wanted:,} samples, "
            f"{plural(engine.shards_left, 'shard')} missing",
        )
    if len(unfinished) > MOST_NAMED:
        yield "", f"and {len(unfinished) - MOST_NAMED:,} other engines with missing shards"


def spent(summary: Mapping[str, Any]) -> str:
    """Time and faults of the generate stages that have ended."""
    hours = f", {summary['gpu_hours']:.2f} GPU-hours" if summary.get("gpu_hours") else ""
    faults = plural(summary.get("faults_survived", 0), "fault")
    kinds = ", ".join(
        f"{count:,} {kind}" for kind, count in summary.get("faults_by_kind", {}).items()
    )
    survived = f"{faults} survived" + (f" ({kinds})" if kinds else "")
    return f"{duration(summary['wall_s'])} of generating{hours}, {survived}"


def results(status: Status) -> str:
    """Whether there are results, and whether they are as new as the samples."""
    written, page = status.written, result_files.PAGE
    if RESULTS not in written:
        return "none yet; stages=[reduce,report] makes them from the finished samples"
    if written[RESULTS] < written.get(SAMPLES, written[RESULTS]):
        return "older than the newest samples; stages=[reduce,report] makes them again"
    if page not in written:
        return f"{RESULTS}, and no report yet; stages=[report] makes it"
    if written[page] < written[RESULTS]:
        return f"{RESULTS}, and an older report; stages=[report] makes it again"
    return f"{RESULTS} and {page} cover all finished samples"

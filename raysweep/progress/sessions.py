"""The sessions of a run, as summary.json adds them up: time, GPU time, faults, and killed drivers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from raysweep.monitoring.snapshot import Snapshot
from raysweep.planning.loads import LoadTime, LoadTimes, as_noted, noted_loads
from raysweep.progress.progress_json import PROGRESS, read_progress
from raysweep.scheduling.loss_kinds import LossKind
from raysweep.storage.store import Store
from raysweep.storage.summary import add_to_summary, read_mapping, read_summary


def note_killed_session(store: Store) -> None:
    """Add the session of a driver that was killed or displaced, as far as progress.json tells of it."""
    before = store.lease.displaced if store.lease else None
    if not before:
        return
    epoch = read_mapping(store, PROGRESS).get("epoch")
    progress = read_progress(store) if epoch == before.get("epoch") else None
    known = progress.snapshot if progress else Snapshot((), 0, 0.0)
    faults: dict[LossKind, int] = {**known.faults, "driver": 1}
    note_session(store, known.wall_s, 0.0, faults)


def note_session(
    store: Store,
    wall_s: float,
    gpu_s: float,
    faults: Mapping[LossKind, int],
    warnings: Iterable[str] = (),
    loads: LoadTimes = MappingProxyType({}),
) -> None:
    """Add a generate stage's time, GPU time, faults, warnings and loads to those of earlier sessions."""
    before, loaded = read_summary(store), {**noted_loads(store)}
    for key, time in loads.items():
        loaded[key] = loaded.get(key, LoadTime()) + time
    by_kind = Counter(before.get("faults_by_kind", {})) + Counter(faults)
    noted = {
        "wall_s": round(before.get("wall_s", 0.0) + wall_s, 1),
        "gpu_hours": before.get("gpu_hours", 0.0) + gpu_s / 3600,
        "faults_survived": before.get("faults_survived", 0) + sum(faults.values()),
        "faults_by_kind": dict(sorted(by_kind.items())),
        "warnings": sorted({*before.get("warnings", ()), *warnings}),
        "loads": as_noted(loaded),
    }
    add_to_summary(store, noted)

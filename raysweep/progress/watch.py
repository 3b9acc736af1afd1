"""What runs beside a generate stage: the progress display, progress.json, Ray's metrics and the lease.

All of them use the same `Snapshot`, which is taken from the schedule once per second.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from raysweep.monitoring.ray_metrics import Exporter
from raysweep.monitoring.snapshot import EngineProgress, Snapshot
from raysweep.progress.display import show_progress
from raysweep.progress.progress_json import write_progress
from raysweep.scheduling.loop import Event
from raysweep.scheduling.loss_kinds import LossKind
from raysweep.scheduling.queues import EngineQueue
from raysweep.scheduling.schedule import Schedule
from raysweep.storage.lease import LOOK_EVERY_S
from raysweep.storage.store import Store

SHOW_EVERY_S, WRITE_EVERY_S = 1.0, 15.0


@contextmanager
def watching(
    store: Store, console: Console, samples: int = 0
) -> Iterator[Callable[[Schedule, Event | None], None]]:
    """Show how far a schedule is, for the duration of the context.

    samples  those that are to be made; more may come later

    Gives the function to call with each event, which raises LeaseLost once another driver has taken over.
    """
    with show_progress(console, samples) as show:
        exporter, started = Exporter(), time.monotonic()
        shown = written = 0.0
        noted: dict[LossKind, int] = {}
        last: Schedule | None = None

        def watch(schedule: Schedule, event: Event | None) -> None:
            nonlocal shown, written, noted, last
            now, last = time.monotonic(), schedule
            if now - shown < SHOW_EVERY_S:
                return
            shown, snapshot = now, snapshot_of(schedule, now - started)
            store.fence(LOOK_EVERY_S)
            show(snapshot)
            exporter(snapshot)
            if now - written >= WRITE_EVERY_S or dict(snapshot.faults) != noted:
                written, noted = now, dict(snapshot.faults)
                write_progress(store, snapshot)

        try:
            yield watch
        finally:
            if last is not None:
                snapshot = snapshot_of(last, time.monotonic() - started)
                show(snapshot)
                exporter(snapshot)
                write_progress(store, snapshot)


def snapshot_of(schedule: Schedule, wall_s: float) -> Snapshot:
    """How far a schedule is, `wall_s` seconds after its start."""
    failed = Counter((failure.engine_id, failure.benchmark) for failure in schedule.failures)
    engines = tuple(
        _progress(queue, benchmark, failed[queue.engine.engine_id, benchmark])
        for queue in schedule.queues
        for benchmark in queue.to_do
    )
    return Snapshot(
        engines=engines,
        actors=len(schedule.places),
        tokens_s=sum(engine.tokens for engine in engines) / max(wall_s, 1e-9),
        faults=dict(schedule.faults),
        retries=schedule.losses.retries,
        seconds_left=seconds_left(schedule),
        wall_s=wall_s,
    )


def _progress(queue: EngineQueue, benchmark: str, failed: int) -> EngineProgress:
    engine, done, running = queue.engine, queue.done[benchmark], queue.running[benchmark]
    waiting = queue.to_do[benchmark]
    left = queue.tokens_of(benchmark, waiting + running)
    return EngineProgress(
        engine_id=engine.engine_id,
        model=engine.model.name,
        weights=engine.weights.slug,
        kv_policy=engine.kv_policy.slug,
        benchmark=benchmark,
        shards_done=done.shards,
        shards_running=running.shards,
        shards_failed=failed,
        shards_waiting=waiting.shards,
        samples=done.samples,
        samples_left=waiting.samples + running.samples,
        tokens=done.tokens,
        tokens_left=round(left),
    )


def seconds_left(schedule: Schedule) -> float | None:
    """The time for the remaining work at the measured speeds, on the actors that run now.

    Running shards count as half done. None before the first shard is finished, and while no actor runs.
    """
    if not schedule.places or not schedule.done.shards:
        return None
    left_s = sum(
        queue.seconds_of(queue.waiting_tokens + queue.running_tokens / 2, queue.options[0])
        for queue in schedule.queues
    )
    return left_s / len(schedule.places)

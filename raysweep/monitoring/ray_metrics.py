"""Metrics through Ray: a `Snapshot` becomes the gauges and counters of `metric_names`.

Ray collects what a process records and serves it on the metrics port of each node, within some fifteen
seconds. Without a running Ray nothing is recorded, so callers need not check for one.
"""

from collections.abc import Mapping
from functools import cached_property
from math import nan

import ray
from ray.util.metrics import Counter, Gauge

from raysweep.monitoring.metric_names import METRICS, STATES, Side
from raysweep.monitoring.snapshot import EngineProgress, Snapshot
from raysweep.spec import EngineSpec

Labels = Mapping[str, str]


class Recorder:
    """Records the metrics of one side by name. They are created with the first value, once Ray runs."""

    def __init__(self, side: Side):
        self.side = side
        self._totals: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    @cached_property
    def _metrics(self) -> dict[str, Counter | Gauge]:
        kinds = {"counter": Counter, "gauge": Gauge}
        return {
            metric.name: kinds[metric.kind](metric.name, metric.description, metric.labels)
            for metric in METRICS
            if metric.side == self.side
        }

    def set(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Set a gauge."""
        if ray.is_initialized():
            gauge = self._metrics[name]
            assert isinstance(gauge, Gauge)
            gauge.set(value, dict(labels or {}))

    def add(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Add to a counter."""
        if value > 0 and ray.is_initialized():
            counter = self._metrics[name]
            assert isinstance(counter, Counter)
            counter.inc(value, dict(labels or {}))

    def total(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Bring a counter to a value, by adding what is new since the last call."""
        key = (name, tuple(sorted((labels or {}).items())))
        self.add(name, value - self._totals.get(key, 0), labels)
        self._totals[key] = value


class Exporter:
    """Exports snapshots as metrics. Call it with each snapshot, about once per second."""

    def __init__(self) -> None:
        self.record = Recorder("driver")

    def __call__(self, snapshot: Snapshot) -> None:
        for engine in snapshot.engines:
            self._engine(engine)
        for kind, count in snapshot.faults.items():
            self.record.total("raysweep_faults", count, {"kind": kind})
        self.record.total("raysweep_retries", snapshot.retries)
        self.record.set("raysweep_tokens_per_second", snapshot.tokens_s)
        self.record.set("raysweep_actors", snapshot.actors)
        left = snapshot.seconds_left  # Ray does not export a gauge that is not a number.
        self.record.set("raysweep_seconds_left", nan if left is None else left)
        self.record.set("raysweep_wall_seconds", snapshot.wall_s)

    def _engine(self, engine: EngineProgress) -> None:
        labels = {
            "engine": engine.engine_id,
            "model": engine.model,
            "weights": engine.weights,
            "kv_policy": engine.kv_policy,
            "benchmark": engine.benchmark,
        }
        for state in STATES:
            count = getattr(engine, f"shards_{state}")
            self.record.set("raysweep_shards", count, {**labels, "state": state})
        self.record.total("raysweep_samples", engine.samples, labels)
        self.record.total("raysweep_tokens", engine.tokens, labels)
        self.record.set("raysweep_tokens_left", engine.tokens_left, labels)


def engine_labels(engine: EngineSpec) -> dict[str, str]:
    """The labels that name an engine, in the metrics of the driver and of the actors."""
    return {
        "engine": engine.engine_id,
        "model": engine.model.name,
        "weights": engine.weights.slug,
        "kv_policy": engine.kv_policy.slug,
    }

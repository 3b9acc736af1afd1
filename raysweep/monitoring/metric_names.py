"""Every metric of raysweep: name, kind, unit, labels. The one table that code, dashboard, alerts, docs share.

Ray exports a metric as `ray_<name>`, a counter as `ray_<name>_total`, and adds labels of its own, WorkerId
and SessionName among them: a query sums over WorkerId, and a SessionName is one start of a Ray cluster.

Labels are bounded: engines, benchmarks and their parts by the sweep, `state`, `kind` and `cache` by the code.
No metric is labelled by question, sample or shard.
"""

from dataclasses import dataclass
from typing import Literal

ENGINE = ("engine", "model", "weights", "kv_policy")
STATES = ("done", "running", "failed", "waiting")
CACHE = ("reused", "recomputed")

Kind = Literal["gauge", "counter"]
Side = Literal["driver", "actor"]


@dataclass(frozen=True)
class Metric:
    """A metric as the code names it; `unit` is that of its value."""

    name: str
    kind: Kind
    side: Side
    unit: str
    says: str
    labels: tuple[str, ...] = ()

    @property
    def exported(self) -> str:
        """Its name in Prometheus."""
        return f"ray_{self.name}" + ("_total" if self.kind == "counter" else "")


PER_BENCHMARK = (*ENGINE, "benchmark")

METRICS = (
    Metric("raysweep_shards", "gauge", "driver", "shards", "by state", (*PER_BENCHMARK, "state")),
    Metric("raysweep_samples", "counter", "driver", "samples", "written", PER_BENCHMARK),
    Metric("raysweep_tokens", "counter", "driver", "tokens", "decoded for them", PER_BENCHMARK),
    Metric(
        "raysweep_tokens_left",
        "gauge",
        "driver",
        "tokens",
        "still to come, estimated",
        PER_BENCHMARK,
    ),
    Metric("raysweep_tokens_per_second", "gauge", "driver", "tokens/s", "of all engines together"),
    Metric("raysweep_actors", "gauge", "driver", "actors", "that hold an engine"),
    Metric("raysweep_retries", "counter", "driver", "shards", "queued again after a loss"),
    Metric("raysweep_faults", "counter", "driver", "faults", "lost actors, by kind", ("kind",)),
    Metric(
        "raysweep_seconds_left",
        "gauge",
        "driver",
        "s",
        "estimated; not there while nobody can tell",
    ),
    Metric("raysweep_wall_seconds", "gauge", "driver", "s", "since the stage began"),
    Metric("raysweep_rows", "gauge", "actor", "sequences", "that the engine decodes now", ENGINE),
    Metric("raysweep_kv_bytes", "gauge", "actor", "bytes", "of live KV cache, counted", ENGINE),
    Metric(
        "raysweep_kv_modelled_bytes",
        "gauge",
        "actor",
        "bytes",
        "of the same cache by the memory model",
        ENGINE,
    ),
    Metric("raysweep_gpu_memory_bytes", "gauge", "actor", "bytes", "taken by the process", ENGINE),
    Metric(
        "raysweep_prefix_tokens",
        "counter",
        "actor",
        "tokens",
        "of thinking that answers followed, by whether the cache still had them",
        (*ENGINE, "cache"),
    ),
    Metric("raysweep_load_seconds", "gauge", "actor", "s", "that loading the engine took", ENGINE),
    Metric("raysweep_grading_seconds", "counter", "actor", "s", "spent on grading", ENGINE),
    Metric("raysweep_graded_answers", "counter", "actor", "answers", "graded", ENGINE),
)

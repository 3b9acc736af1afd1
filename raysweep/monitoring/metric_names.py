"""Every metric of raysweep: name, kind, unit, description, labels. Code, dashboard, alerts and docs share it.

Ray exports a metric as `ray_<name>`, a counter as `ray_<name>_total`, and adds labels of its own. Queries sum
over its WorkerId. Its SessionName names one start of a Ray cluster.

The number of label values is bounded, by the sweep for engines and benchmarks, and by the code for `state`,
`kind` and `cache`. No metric is labelled by question, sample or shard.
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
    """A metric under the name that the code uses.

    side  which process records it
    unit  the unit of its value
    """

    name: str
    kind: Kind
    side: Side
    unit: str
    description: str
    labels: tuple[str, ...] = ()

    @property
    def exported(self) -> str:
        """Its name in Prometheus."""
        return f"ray_{self.name}" + ("_total" if self.kind == "counter" else "")


PER_BENCHMARK = (*ENGINE, "benchmark")

METRICS = (
    Metric(
        "raysweep_shards",
        "gauge",
        "driver",
        "shards",
        "shards in each state",
        (*PER_BENCHMARK, "state"),
    ),
    Metric("raysweep_samples", "counter", "driver", "samples", "samples written", PER_BENCHMARK),
    Metric(
        "raysweep_tokens",
        "counter",
        "driver",
        "tokens",
        "tokens decoded for the samples written",
        PER_BENCHMARK,
    ),
    Metric(
        "raysweep_tokens_left",
        "gauge",
        "driver",
        "tokens",
        "estimated tokens of the samples not yet written",
        PER_BENCHMARK,
    ),
    Metric(
        "raysweep_tokens_per_second",
        "gauge",
        "driver",
        "tokens/s",
        "throughput of all engines together",
    ),
    Metric("raysweep_actors", "gauge", "driver", "actors", "actors that hold an engine"),
    Metric("raysweep_retries", "counter", "driver", "shards", "shards queued again after a loss"),
    Metric(
        "raysweep_faults",
        "counter",
        "driver",
        "actors",
        "actors lost, by kind of loss",
        ("kind",),
    ),
    Metric(
        "raysweep_seconds_left",
        "gauge",
        "driver",
        "s",
        "estimated time to the end; missing while there is no estimate",
    ),
    Metric("raysweep_wall_seconds", "gauge", "driver", "s", "time since the stage began"),
    Metric(
        "raysweep_rows", "gauge", "actor", "sequences", "sequences that the engine decodes", ENGINE
    ),
    Metric(
        "raysweep_kv_bytes",
        "gauge",
        "actor",
        "bytes",
        "live KV cache, counted from tensors",
        ENGINE,
    ),
    Metric(
        "raysweep_kv_modelled_bytes",
        "gauge",
        "actor",
        "bytes",
        "the same KV cache by the memory model",
        ENGINE,
    ),
    Metric(
        "raysweep_gpu_memory_bytes",
        "gauge",
        "actor",
        "bytes",
        "GPU memory taken by the actor's process",
        ENGINE,
    ),
    Metric(
        "raysweep_prefix_tokens",
        "counter",
        "actor",
        "tokens",
        "thinking before the answers, by whether the KV cache still held it",
        (*ENGINE, "cache"),
    ),
    Metric("raysweep_load_seconds", "gauge", "actor", "s", "time to load the engine", ENGINE),
    Metric("raysweep_grading_seconds", "counter", "actor", "s", "time spent on grading", ENGINE),
    Metric("raysweep_graded_answers", "counter", "actor", "answers", "answers graded", ENGINE),
)

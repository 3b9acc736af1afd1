"""What an actor reports about its engine while it runs: rows, KV bytes, GPU memory, cache hits, seconds.

It is cheap enough to be called after every step: gauges are counted, and sums handed to Ray, once per
second. If Ray is not running, nothing is recorded.
"""

import time
from collections import Counter
from collections.abc import Callable

from actors.engine import Usage
from raysweep.monitoring.metric_names import CACHE
from raysweep.monitoring.ray_metrics import Recorder, engine_labels
from raysweep.spec import EngineSpec

INTERVAL_S = 1.0  # seconds between two reports


class ActorMetrics:
    """The metrics of one engine, labelled by it. `clock` gives monotonic seconds."""

    def __init__(self, engine: EngineSpec, clock: Callable[[], float] = time.monotonic):
        self.labels = engine_labels(engine)
        self.record = Recorder("actor")
        self.clock = clock
        self._next_s = clock()
        self._sums: Counter[tuple[str, str]] = Counter()

    def loaded(self, seconds: float) -> None:
        """The engine was loaded in so many seconds, without waiting for others."""
        self.record.set("raysweep_load_seconds", seconds, self.labels)

    def stepped(
        self, usage: Callable[[], Usage], gpu_bytes: Callable[[], int] | None = None
    ) -> None:
        """A step is done. `usage` and `gpu_bytes` may be slow and are called at most once per second."""
        if self.clock() >= self._next_s:
            self._tell(usage(), gpu_bytes)

    def idle(self, usage: Callable[[], Usage], gpu_bytes: Callable[[], int] | None = None) -> None:
        """The engine has nothing left to do: report its state at once."""
        self._tell(usage(), gpu_bytes)

    def graded(self, seconds: float, answers: int) -> None:
        """So many answers were graded in so many seconds."""
        self.record.add("raysweep_grading_seconds", seconds, self.labels)
        self.record.add("raysweep_graded_answers", answers, self.labels)

    def prefix(self, reused: int, recomputed: int) -> None:
        """Tokens of thinking before answers: those still in the cache, and those computed again."""
        for cache, tokens in zip(CACHE, (reused, recomputed), strict=True):
            self._sums["raysweep_prefix_tokens", cache] += tokens

    def _tell(self, usage: Usage, gpu_bytes: Callable[[], int] | None) -> None:
        self._next_s = self.clock() + INTERVAL_S
        self.record.set("raysweep_rows", usage.rows, self.labels)
        self.record.set("raysweep_kv_bytes", usage.kv_bytes, self.labels)
        self.record.set("raysweep_kv_modelled_bytes", usage.modelled_kv_bytes, self.labels)
        if gpu_bytes is not None:
            self.record.set("raysweep_gpu_memory_bytes", gpu_bytes(), self.labels)
        for (name, cache), tokens in self._sums.items():
            self.record.add(name, tokens, {**self.labels, "cache": cache})
        self._sums.clear()


def gpu_memory(gpus: float) -> Callable[[], int] | None:
    """A function for the bytes that torch holds on this process's GPUs; None for an actor without one."""
    if not gpus:
        return None
    import torch

    return lambda: sum(map(torch.cuda.memory_reserved, range(torch.cuda.device_count())))

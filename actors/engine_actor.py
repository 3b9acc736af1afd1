"""The Ray actor: holds one engine, runs shards, writes each as a Parquet part.

Shards run concurrently, one coroutine per shard, and share the engine: each steps it in turn, for all. So
the batch stays full while one shard ends and the next begins, and steps never overlap.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from actors.checked_files import checked_folder
from actors.engine import Engine, TraceRequest
from actors.engine_metrics import ActorMetrics, gpu_memory
from actors.environment import take_over
from actors.lengthening import Known, known_traces, shorter_traces
from actors.sample_rows import Traces, Work, generated_tokens, publish
from actors.waits import waited_s
from raysweep import grading
from raysweep.run_config import Server
from raysweep.shard import Receipt, Shard, sample_key
from raysweep.spec import EngineSpec
from raysweep.storage.lease import Lease
from raysweep.storage.store import Store
from raysweep.system.workers import Workers

GRADING_WORKERS = 4  # the most per actor: a machine may have one actor per GPU
MOST_UNWRITTEN = (
    1  # shards that may be graded or written while more are accepted: a crash loses them
)
PAUSE_S = 0.05  # seconds between two checks for capacity while nothing is generated


class EngineActor:
    """One engine and the store for its samples. The driver makes it a Ray actor.

    An error in a step may come from any shard, and leaves the engine in an unknown state. So the driver
    ends an actor if one of its shards has failed.
    """

    def __init__(
        self,
        spec: EngineSpec,
        store_root: str,
        max_rows: int,
        longest: int | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
        lease: Lease | None = None,
        device: str = "",
        mean: int | None = None,
        server: Server | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ):
        take_over(variables)
        self.metrics = ActorMetrics(spec)
        started, waited = time.perf_counter(), waited_s()
        self.engine = load_engine(spec, max_rows, longest, cpus, gpus, mean, server)
        self.load_s = time.perf_counter() - started - (waited_s() - waited)
        self.metrics.loaded(self.load_s)
        self.gpu_bytes = gpu_memory(gpus)
        self.store, self.device = Store(store_root, lease), device
        self.graders = Workers(min(GRADING_WORKERS, os.cpu_count() or 1))
        self.steps, self.engine_s, self.counted_s = 0, 0.0, 0.0
        self.generating = self.unwritten = 0

    async def load_seconds(self) -> float:
        """Seconds that the engine took to load, without waiting for others (`waits`)."""
        return self.load_s

    async def run_shard(self, shard: Shard) -> Receipt:
        """Generate, grade and publish a shard's samples."""
        started = time.perf_counter()
        grading.load_grader(shard.grader).check_place("grader")
        shorter = (
            await asyncio.to_thread(shorter_traces, self.store, shard) if shard.shorter else {}
        )
        self.generating += 1
        known = known_traces(shard, shorter, self.engine.continues)
        traces = await self._generate(shard, known)
        self.generating -= 1
        work = self._work(shard, traces, known)
        if not self.generating:
            self.metrics.idle(self.engine.usage, self.gpu_bytes)
        self.unwritten += 1
        await asyncio.to_thread(publish, self.store, work, self.graders, self.metrics)
        self.unwritten -= 1
        return Receipt(
            shard.shard_id,
            len(traces),
            work.tokens,
            time.perf_counter() - started,
            work.engine_s,
            self.engine.warnings,
            work.kept_tokens,
        )

    async def has_capacity(self, spare: int) -> None:
        """Return once fewer than `spare` samples wait for a free row, and the storage keeps up."""
        while len(self.engine.waiting) >= spare or self.unwritten > MOST_UNWRITTEN:
            await asyncio.sleep(0 if self.generating else PAUSE_S)

    async def pulse(self) -> tuple[int, int]:
        """Steps taken so far, and the number of shards that wait for more."""
        return self.steps, self.generating

    async def trouble(self) -> str:
        """What keeps the engine from decoding, in one line; "" if nothing does."""
        return getattr(self.engine, "trouble", "")

    async def _generate(self, shard: Shard, known: Known) -> Traces:
        """The traces that are known already, and those that the engine makes."""
        traces = dict(known.kept)
        for number, question in enumerate(shard.questions):
            for index in shard.indices:
                cell = number, index
                if cell in known.kept:
                    continue
                key = sample_key(shard.decoding.seed, question.question_id, index)
                begun = known.begun.get(cell)
                request = TraceRequest(question.rendered, key, shard.decoding, begun)
                self.engine.add(request, partial(traces.__setitem__, cell))
        while True:
            await asyncio.sleep(0)  # let the other shards run
            if len(traces) == shard.samples:
                return traces
            self._step()

    def _step(self) -> None:
        started = time.perf_counter()
        self.engine.step()
        self.engine_s += time.perf_counter() - started
        self.steps += 1
        self.metrics.stepped(self.engine.usage, self.gpu_bytes)

    def _work(self, shard: Shard, traces: Traces, known: Known) -> Work:
        """A shard's traces, with the engine's time since the previous shard was finished."""
        engine_s, self.counted_s = self.engine_s - self.counted_s, self.engine_s
        used = known.used(traces)
        for trace in traces.values():
            self.metrics.prefix(trace.reused_tokens, trace.recomputed_tokens)
        for trace in used:
            self.metrics.prefix(-trace.reused_tokens, -trace.recomputed_tokens)
        return Work(shard, traces, engine_s, self.device, sum(map(generated_tokens, used)))


def load_engine(
    spec: EngineSpec,
    max_rows: int,
    longest: int | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
    mean: int | None = None,
    server: Server | None = None,
) -> Engine:
    """The engine of a spec. Its backend is imported only here.

    longest  tokens of the longest sequence; None means the model's context
    mean     tokens of a sequence at its mean length, by which vLLM's rows share a GPU
    cpus     CPUs of the actor; the torch engine computes with that many threads, but at least one
    server   the server of the spec's model, for that backend
    """
    if spec.backend == "fake":
        from actors.fake_engine import FakeEngine

        return FakeEngine(max_rows)
    if spec.backend == "torch":
        import torch

        from actors.torch_engine.engine import TorchEngine

        torch.set_num_threads(max(1, int(cpus)))
        folder = checked_folder(spec)
        architecture = spec.model.architecture
        return TorchEngine(folder, architecture, spec.kv_policy, max_rows, longest=longest)
    if spec.backend == "vllm":
        from actors.vllm_engine.engine import VllmEngine
        from actors.vllm_engine.loading import Limits

        return VllmEngine(spec, Limits(max_rows, longest, gpus, mean))
    if spec.backend == "server":
        assert server is not None  # The configuration has one for each engine.
        from actors.server_engine.engine import ServerEngine

        return ServerEngine(spec, server, max_rows, longest)
    raise ValueError(f"backend: {spec.backend!r} is not known; known: torch, vllm, server, fake")

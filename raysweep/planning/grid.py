"""The grid of a sweep: every engine, its backend, and the stream of samples that it shall make."""

import itertools
from collections.abc import Collection
from dataclasses import replace

from raysweep.checkpoints.engine_files import engine_checkpoint
from raysweep.errors import ConfigError
from raysweep.planning.backends import AUTO, Choice, choose
from raysweep.run_config import RunConfig
from raysweep.shard import Shard
from raysweep.spec import Benchmark, EngineSpec


def engines(config: RunConfig) -> tuple[EngineSpec, ...]:
    """Every engine of the grid, in the configuration's order and with its backend."""
    sweep = config.sweep
    return tuple(
        EngineSpec(model, weights, policy, sweep.backend, checkpoint)
        for model, weights in itertools.product(sweep.models, sweep.weights)
        for checkpoint in [engine_checkpoint(config.prepare, model, weights)]
        for policy in sweep.kv_policies
    )


def backend_of(config: RunConfig, engine: EngineSpec, streams: Collection[str]) -> Choice:
    """The backend of an engine of the grid, given the streams of samples that the folder holds.

    Raises ConfigError if another backend has made the engine's samples, because they would differ.
    """
    tried = AUTO if streams else ()
    makers = [backend for backend in tried if _has_made(config, engine, backend, streams)]
    if engine.backend == "auto":
        made = "made the samples in this folder"
        return Choice(makers[0], made) if makers else choose(engine, config.cluster)
    others = [maker for maker in makers if maker != engine.backend]
    if others:
        raise ConfigError(
            f"sweep.backend: {engine.backend!r} cannot continue the samples of {engine.engine_id} in "
            f"{config.out}/{config.run}, which {others[0]!r} made; write that or auto, or choose "
            "another run=NAME"
        )
    return Choice(engine.backend, "as configured")


def _has_made(
    config: RunConfig, engine: EngineSpec, backend: str, streams: Collection[str]
) -> bool:
    maker = replace(engine, backend=backend)
    return any(
        whole_stream(config, maker, benchmark).stream_id in streams
        for benchmark in config.sweep.benchmarks
    )


def whole_stream(config: RunConfig, engine: EngineSpec, benchmark: Benchmark) -> Shard:
    """All wanted samples of one engine on one benchmark, as a single shard."""
    return Shard(
        engine=engine,
        benchmark=benchmark.name,
        grader=benchmark.grader,
        decoding=config.decoding(engine.model, benchmark),
        questions=benchmark.questions,
        sample_start=0,
        sample_count=config.sweep.samples,
    )

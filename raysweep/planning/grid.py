"""The grid of a sweep: every engine, its backend, and the stream of samples that it shall make.

Where `full` runs on vLLM and other policies on torch, a comparison of the two compares backends too. A
control is `full` on torch: it differs from its engine by the backend alone. It is no engine of the grid, so
no result but the difference of the two rests on it.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from raysweep.checkpoints.engine_files import engine_checkpoint
from raysweep.errors import ConfigError
from raysweep.kv_policy import method_of
from raysweep.planning.backends import AUTO, Choice, choose
from raysweep.run_config import RunConfig
from raysweep.shard import Shard
from raysweep.spec import Benchmark, EngineSpec


def engines(config: RunConfig) -> tuple[EngineSpec, ...]:
    """Every engine of the grid, in the configuration's order and with its backend."""
    sweep = config.sweep
    checkpoints = {pair: engine_checkpoint(config.prepare, *pair) for pair in sweep.pairs()}
    return tuple(
        EngineSpec(model, weights, policy, sweep.backend, checkpoints[model, weights])
        for model, weights, policy in sweep.cells()
    )


def planned_engines(
    config: RunConfig, streams: Collection[str]
) -> tuple[tuple[EngineSpec, ...], tuple[Choice, ...]]:
    """The engines of the grid and their controls, with their backends, and the choice of each.

    streams  the streams of samples that the folder holds
    """
    grid = engines(config)
    makers = _makers(config, grid, streams) if streams else {}
    choices = tuple(backend_of(config, engine, makers.get(engine.engine_id, ())) for engine in grid)
    chosen = tuple(
        replace(engine, backend=choice.backend)
        for engine, choice in zip(grid, choices, strict=True)
    )
    controls = tuple(map(control_of, without_peer(chosen))) if config.sweep.control else ()
    why = Choice("torch", "a control, since other KV policies run there")
    return (*chosen, *controls), (*choices, *(why for _ in controls))


def without_peer(chosen: Iterable[EngineSpec]) -> tuple[EngineSpec, ...]:
    """The engines with the full cache on vLLM that are compared with other policies on torch."""
    chosen = tuple(chosen)
    on_torch = {(one.model.name, one.weights) for one in chosen if one.backend == "torch"}
    return tuple(
        one
        for one in chosen
        if one.backend == "vllm" and is_full(one) and (one.model.name, one.weights) in on_torch
    )


def is_full(engine: EngineSpec) -> bool:
    return method_of(engine.kv_policy) == "full"


def control_of(engine: EngineSpec) -> EngineSpec:
    """The same engine on torch, with samples of its own."""
    return replace(engine, backend="torch", control=True)


def _makers(
    config: RunConfig, grid: Sequence[EngineSpec], streams: Collection[str]
) -> Mapping[str, Sequence[str]]:
    """The backends that have made samples of each engine, by its id."""
    own = () if config.sweep.backend == "auto" else (config.sweep.backend,)
    tried = dict.fromkeys((*own, *AUTO, "server"))
    makers = [replace(engine, backend=backend) for backend in tried for engine in grid]
    controls = map(control_of, filter(is_full, grid))
    made = made_streams(config, [*makers, *controls], streams).values()
    found = {(one.engine.engine_id, one.engine.backend) for one in made if not one.engine.control}
    return {
        engine.engine_id: [backend for backend in tried if (engine.engine_id, backend) in found]
        for engine in grid
    }


def backend_of(config: RunConfig, engine: EngineSpec, makers: Sequence[str]) -> Choice:
    """The backend of an engine of the grid, given those that have made samples of it in the folder.

    Raises ConfigError if another backend has made the engine's samples, because they would differ.
    """
    # Which server made them is not recorded, so it must be named again.
    if engine.backend == "auto" and makers != ["server"]:
        made = "made the samples in this folder"
        return Choice(makers[0], made) if makers else choose(engine, config.cluster)
    others = [maker for maker in makers if maker != engine.backend]
    if others:
        them = "write that" if others == ["server"] else "write that or auto"
        raise ConfigError(
            f"sweep.backend: {engine.backend!r} cannot continue the samples of {engine.engine_id} in "
            f"{config.out}/{config.run}, which {others[0]!r} made; {them}, or choose "
            "another run=NAME"
        )
    return Choice(engine.backend, "as configured")


def whole_stream(
    config: RunConfig, engine: EngineSpec, benchmark: Benchmark, budgets: int | None = None
) -> Shard:
    """All samples of one engine on one benchmark, as a single shard.

    budgets  how many token budgets they go up to, the smallest first; None stands for all
    """
    decoding = config.decoding(engine.model, benchmark)
    return Shard(
        engine=engine,
        benchmark=benchmark.name,
        grader=benchmark.grader,
        decoding=replace(decoding, token_budgets=decoding.token_budgets[:budgets]),
        questions=benchmark.questions,
        sample_start=0,
        sample_count=config.sweep.samples,
    )


def made_streams(
    config: RunConfig, engines: Iterable[EngineSpec], made: Iterable[str]
) -> dict[str, Shard]:
    """Those streams of the engines that are among `made`, by id: the ones up to more budgets first.

    Only an adaptive run makes others than the whole streams, so these are looked for only where some of
    `made` are no whole streams.
    """
    left, found = set(made), {}
    pairs = tuple(itertools.product(engines, config.sweep.benchmarks))
    for budgets in range(len(config.sweep.token_budgets), 0, -1):
        if not left:
            break
        for engine, benchmark in pairs:
            stream = whole_stream(config, engine, benchmark, budgets)
            if stream.stream_id in left:
                left.remove(stream.stream_id)
                found[stream.stream_id] = stream
                if not left:
                    return found
    return found

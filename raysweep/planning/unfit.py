"""Engines that fit on no GPU of the cluster: which they are, and what would hold them."""

from collections.abc import Iterable, Sequence

from raysweep.errors import ConfigError
from raysweep.planning.fit import ONE_GPU, fit_of, least_fit
from raysweep.planning.jobs import engines_of
from raysweep.planning.lengths import Lengths
from raysweep.planning.placements import seen_by
from raysweep.run_config import Cluster, Gpu, Pool, RunConfig
from raysweep.shard import Shard
from raysweep.spec import Checkpoint, EngineSpec


def unfit_engines(
    config: RunConfig, engines: Iterable[EngineSpec], lengths: Lengths
) -> tuple[EngineSpec, ...]:
    """The engines that fit on no GPU of the cluster. None where the kinds of GPU are unknown.

    Raises ConfigError where each actor is given more GPUs than an engine's backend can use.
    """
    rows = config.generation.max_rows

    def is_unfit(engine: EngineSpec) -> bool:
        cluster = seen_by(engine, config.cluster)
        _check_count(engine, cluster.gpus_per_actor)
        if not cluster.kinds:
            return False
        return not any(fit_of(engine, pool, cluster, rows, lengths) for pool in cluster.pools)

    return tuple(filter(is_unfit, engines))


def held(
    config: RunConfig, shards: Iterable[Shard], lengths: Lengths, known: Iterable[Gpu] = ()
) -> tuple[tuple[Shard, ...], tuple[Shard, ...]]:
    """The shards of engines that fit on the cluster's GPUs, and the shards of the others, to be skipped.

    lengths  of the run's sequences, as in the plan (`lengths.run_lengths`)
    known    kinds of GPU that may be suggested instead

    Raises ConfigError if there are any to be skipped, and the sweep is to refuse them.
    """
    shards = tuple(shards)
    unfit = unfit_engines(config, engines_of(shards), lengths)
    if unfit and config.sweep.unfit == "refuse":
        raise ConfigError(refusal(config.cluster, unfit, lengths, known))
    names = {engine.engine_id for engine in unfit}
    inside = tuple(shard for shard in shards if shard.engine.engine_id not in names)
    return inside, tuple(shard for shard in shards if shard.engine.engine_id in names)


def unused_checkpoints(
    config: RunConfig, engines: Iterable[EngineSpec], unfit: Iterable[EngineSpec]
) -> set[Checkpoint]:
    """The files that none of the engines but skipped ones would load, so that nobody need make them."""
    if config.sweep.unfit != "skip":
        return set()
    unfit = tuple(unfit)
    names = {engine.engine_id for engine in unfit}
    used = {engine.checkpoint for engine in engines if engine.engine_id not in names}
    return {engine.checkpoint for engine in unfit} - used


def _check_count(engine: EngineSpec, gpus: float | None) -> None:
    if gpus is not None and gpus > 1 and engine.backend in ONE_GPU:
        raise ConfigError(
            f"cluster.gpus_per_actor: {gpus:g} GPUs are too many for {engine.engine_id}, since the "
            f"{engine.backend} engine uses one; write 1, or null for as many as each engine needs"
        )


def refusal(
    cluster: Cluster, unfit: Sequence[EngineSpec], lengths: Lengths, known: Iterable[Gpu]
) -> str:
    """The message that engines fit nowhere, with the GPUs that would hold the first of them."""
    engine = unfit[0]
    names = " or ".join(pool_name(pool) for pool in cluster.pools)
    unit = "GPU" if engine.backend in ONE_GPU else "node"
    field, share = "cluster.gpu", f"no {unit} of {names} holds"
    if cluster.gpus_per_actor is not None:
        field, share = "cluster.gpus_per_actor", f"{cluster.gpus_per_actor:g} {names} cannot hold"
    would = what_would([*(pool.gpu for pool in cluster.pools), *known], engine, lengths)
    tokens = lengths.within(engine.model.architecture).row
    others = f", nor {len(unfit) - 1} others" if len(unfit) > 1 else ""
    return (
        f"{field}: {share} {engine.engine_id} with one sequence of {tokens:,} tokens{others}; {would}, "
        "name them in sweep.leave_out, or skip them by sweep.unfit=skip"
    )


def pool_name(pool: Pool) -> str:
    """`l4-24`, or `2 l4-24` where it is known how many there are, per node or in all."""
    count, node = pool.together, ""
    if pool.gpus is None or pool.gpus > (pool.per_node or pool.gpus):
        node = " per node"
    return pool.gpu.name if count is None else f"{count} {pool.gpu.name}{node}"


def what_would(gpus: Iterable[Gpu], engine: EngineSpec, lengths: Lengths) -> str:
    """The fewest GPUs of each kind that hold an engine, in words. The first kind of a name counts."""
    kinds: dict[str, Gpu] = {}
    for gpu in gpus:
        kinds.setdefault(gpu.name, gpu)
    found = {name: least_fit(engine, gpu, lengths) for name, gpu in kinds.items()}
    counts = [f"{fit.gpus:g} {name}" for name, fit in found.items() if fit is not None]
    if not counts:
        unit = "GPU" if engine.backend in ONE_GPU else "node"
        return f"no known {unit} holds it; lower the largest token budget"
    return f"use {' or '.join(counts)}"

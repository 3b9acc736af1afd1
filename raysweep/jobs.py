"""From missing shards to jobs: for each engine its work, and the ways to run it on the cluster's nodes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from raysweep.cost import speed
from raysweep.fit import given, placed
from raysweep.learnt import Learnt, Modelled, learnt_of
from raysweep.run_config import Cluster, Generation, Gpu
from raysweep.scheduling.nodes import Need
from raysweep.scheduling.queues import Job, Option
from raysweep.spec import EngineSpec, Shard
from raysweep.store import Part


def jobs_of(shards: Iterable[Shard], generation: Generation, cluster: Cluster) -> tuple[Job, ...]:
    """The shards by their engine, each engine with its options.

    Raises ValueError for an engine that no kind of GPU of the cluster holds: `fit.check_fit` comes before.
    """
    by_engine: dict[str, list[Shard]] = defaultdict(list)
    for shard in shards:
        by_engine[shard.engine.engine_id].append(shard)
    return tuple(_job(theirs, generation, cluster) for theirs in by_engine.values())


def _job(shards: Sequence[Shard], generation: Generation, cluster: Cluster) -> Job:
    engine = shards[0].engine
    tokens = max(s.decoding.token_budgets[-1] + s.decoding.answer_tokens for s in shards)
    options = options_of(engine, generation, cluster, tokens)
    if not options:
        raise ValueError(f"{engine.engine_id} fits on no GPU of the cluster")
    return Job(engine, options, tuple(shards))


def options_of(
    engine: EngineSpec, generation: Generation, cluster: Cluster, tokens: int
) -> tuple[Option, ...]:
    """The ways to run an engine whose sequences come to `tokens` tokens; the cheapest a token first."""
    if not cluster.pools or not cluster.on_gpus:
        fit = placed(engine, None, generation.max_rows, tokens)
        assert fit is not None
        need = Need(cluster.cpus_per_actor, cluster.gpus_per_actor or 0.0)
        return (Option(need, speed(engine, None, fit, tokens)),)
    found = [
        (option.gpu_s_per_token * (pool.gpu.usd_per_hour or 1.0), option)
        for pool in cluster.pools
        for option in [_option(engine, pool.gpu, generation, cluster, tokens)]
        if option is not None
    ]
    return tuple(option for _, option in sorted(found, key=lambda pair: pair[0]))


def _option(
    engine: EngineSpec, gpu: Gpu, generation: Generation, cluster: Cluster, tokens: int
) -> Option | None:
    if cluster.gpus_per_actor is None:
        fit = placed(engine, gpu, generation.max_rows, tokens)
    else:
        fit = given(engine, gpu, cluster.gpus_per_actor, generation.max_rows, tokens)
    if fit is None:
        return None
    need = Need(cluster.cpus_per_actor, fit.gpus, gpu.accelerator_type)
    return Option(need, speed(engine, gpu, fit, tokens))


def modelled(jobs: Iterable[Job]) -> Modelled:
    """Seconds of a token by the cost model, for `Learnt`."""
    seconds = {
        (job.engine.engine_id, option.need.kind): 1.0 / option.speed.tokens_s()
        for job in jobs
        for option in job.options
    }
    return lambda engine_id, device: seconds.get((engine_id, device), 0.0)


def learnt_from(parts: Iterable[Part], jobs: Sequence[Job]) -> Learnt:
    """What the parts that are there say of the jobs still to do."""
    streams = {shard.stream_id: shard.benchmark for job in jobs for shard in job.shards[:1]}
    return learnt_of(parts, streams, modelled(jobs))

"""The plan's lines on engines that fit on no GPU of the cluster: which, why, and what they cost elsewhere."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from raysweep.planning.backends import lacks_bf16
from raysweep.planning.estimate import Estimate
from raysweep.planning.fit import fit_on
from raysweep.planning.lengths import Lengths, run_lengths
from raysweep.planning.placements import placements
from raysweep.planning.unfit import pool_name, what_would
from raysweep.reporting.terminal_lines import Line, human_hours, human_usd, span
from raysweep.run_config import Cluster, Gpu, Pool, RunConfig
from raysweep.spec import EngineSpec
from raysweep.system.quantities import human_bytes, plural

# At most this many models at a precision are named.
MOST_NAMED = 6

# What the stage generate does with such engines, by `sweep.unfit`.
DONE_WITH_THEM = {
    "skip": "the stage generate skips them",
    "refuse": "the stage generate refuses them; write sweep.unfit=skip, or name them in sweep.leave_out",
}


def unfit_lines(
    config: RunConfig, costs: Sequence[Estimate], known: Sequence[Gpu]
) -> Iterator[Line]:
    """The engines that fit on no GPU of the cluster, and the GPUs that would hold them.

    known  kinds of GPU to suggest
    """
    unfit = [cost for cost in costs if cost.placement is None]
    if not unfit:
        return
    names = " or ".join(map(pool_name, config.cluster.pools))
    text = f"{len(unfit):,} of {plural(len(costs), 'engine')} do not fit on {names}"
    yield Line("no room", f"{text}; {DONE_WITH_THEM[config.sweep.unfit]}", urgent=True)
    gpus, lengths = [*(pool.gpu for pool in config.cluster.pools), *known], run_lengths(config)
    groups = list(by_precision(cost.engine for cost in unfit).items())
    for name, engines in groups[:MOST_NAMED]:
        several = f" with {len(engines)} KV policies" if len(engines) > 1 else ""
        needs = needed(engines, config.cluster, lengths)
        would = what_would(gpus, engines[0], lengths)
        yield Line("", f"{name}{several}: {needs}; {would}", urgent=True)
    if len(groups) > MOST_NAMED:
        yield Line("", f"and {len(groups) - MOST_NAMED:,} others", urgent=True)
    yield from elsewhere(config, unfit, known)


def by_precision(engines: Iterable[EngineSpec]) -> dict[str, list[EngineSpec]]:
    """The engines of each model at a precision, or a single one, under their common name."""
    groups: dict[str, list[EngineSpec]] = defaultdict(list)
    for engine in engines:
        groups[f"{engine.model.name}.{engine.weights.slug}"].append(engine)
    return {name if len(group) > 1 else group[0].engine_id: group for name, group in groups.items()}


def needed(engines: Iterable[EngineSpec], cluster: Cluster, lengths: Lengths) -> str:
    """The memory that engines take with one sequence, beside that of a GPU.

    GPUs without bf16 are left out, since their memory is not the reason. A plan refuses engines for which
    no GPU is left (`backends.refuses`).
    """
    engines = tuple(engines)
    kinds = (pool.gpu for pool in cluster.pools)
    usable = [gpu for gpu in kinds if not any(lacks_bf16(one.backend, gpu) for one in engines)]
    least = [fit_on(engine, usable[0], 1, lengths) for engine in engines]
    bytes_needed = span([fit.peak_bytes(1) for fit in least], human_bytes)
    has = " or ".join(human_bytes(gpu.memory_bytes) for gpu in usable)
    return f"one sequence takes {bytes_needed} with the weights, and a GPU has {has}"


def without_bf16_lines(cluster: Cluster, engines: Iterable[EngineSpec]) -> Iterator[Line]:
    """The GPUs of the cluster on which engines do not run, whatever their memory."""
    backends = sorted({engine.backend for engine in engines})
    for pool in cluster.pools:
        lacking = [backend for backend in backends if lacks_bf16(backend, pool.gpu)]
        if lacking:
            names = " and ".join(lacking)
            nothing = "" if len(lacking) < len(backends) else "; no engine runs on it"
            text = f"{pool.gpu.name} has no bf16, in which {names} engines compute{nothing}"
            yield Line("note", text)


def elsewhere(config: RunConfig, unfit: Iterable[Estimate], known: Sequence[Gpu]) -> Iterator[Line]:
    """What these engines cost on the kinds of GPU on which their tokens are cheapest."""
    pools = tuple(Pool(gpu) for gpu in known if gpu.usd_per_hour)
    cluster = replace(config.cluster, pools=pools, gpus_per_actor=None)
    hours: dict[str, float] = defaultdict(float)
    usd, lengths = 0.0, run_lengths(config)
    for cost in unfit:
        places = placements(cost.engine, config.generation, cluster, lengths) if pools else ()
        if places and (gpu := places[0].gpu) is not None:
            there = replace(cost, placement=places[0]).gpu_hours(cost.to_do) or 0.0
            hours[gpu.name] += there
            usd += there * gpu.usd_per_hour
    if usd:
        text = ", ".join(f"{human_hours(count)} {name}-hours" for name, count in hours.items())
        yield Line("", f"elsewhere they take {text}, {human_usd(usd)}", urgent=True)

"""Which GPUs hold an engine: its weights, the KV cache of the rows that decode together, an allowance.

    memory of the GPUs >= share of the weights + rows * (share of a row's cache + its logits) + allowance

A row is a sequence that has used the largest token budget. Its cache counts at its peak. An engine's share
of a GPU is its share of the GPU's memory, so engines whose shares sum to 1 or less fit on one GPU.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from raysweep.errors import ConfigError
from raysweep.memory import architecture_bytes, kv_peak_bytes, share, workspace_bytes
from raysweep.run_config import Cluster, Gpu, Pool, RunConfig
from raysweep.spec import EngineSpec, sequence_tokens

# An engine may be split over these numbers of GPUs of one node.
GPU_COUNTS = (1, 2, 4, 8)
# Shares of a GPU are multiples of 1/20.
STEPS = 20
# An engine with a larger share gets a whole GPU, because a second engine would rarely fit beside it.
LARGEST_SHARE = STEPS // 2
# With fewer rows than this, an engine wastes its GPUs: a step reads all weights even for one row.
ENOUGH_ROWS = 8

NO_GPU = Gpu("", 0, 1.0, 1.0)


@dataclass(frozen=True)
class Fit:
    """How an engine is laid out on GPUs of one kind. Bytes are bytes per GPU.

    gpus  whole GPUs, or a share of one; 0 on a CPU
    rows  the most sequences that decode together
    """

    gpus: float
    weights_bytes: int
    row_bytes: int
    rows: int


def fit_on(engine: EngineSpec, gpu: Gpu, gpus: int, tokens: int) -> Fit:
    """The engine split over `gpus` GPUs, with as many rows of `tokens` tokens as fit.

    Raises ValueError if its heads or features do not split over so many GPUs.
    """
    a = share(engine.model.architecture, gpus)
    weights = architecture_bytes(a, engine.weights)
    row_logits = workspace_bytes(a, 1) - workspace_bytes(a, 0)
    row = kv_peak_bytes(a, engine.kv_policy, tokens) + row_logits
    free = gpu.memory_bytes - weights - workspace_bytes(a, 0)
    return Fit(gpus, weights, row, max(0, free // row))


def fits(engine: EngineSpec, gpu: Gpu, tokens: int) -> Iterator[Fit]:
    """The engine on each number of GPUs over which it splits, even if no row fits."""
    for gpus in GPU_COUNTS:
        try:
            yield fit_on(engine, gpu, gpus, tokens)
        except ValueError:
            return


def least_fit(engine: EngineSpec, gpu: Gpu, tokens: int) -> Fit | None:
    """The engine on the fewest GPUs of a node that hold it with one row. None if no node does."""
    return next((fit for fit in fits(engine, gpu, tokens) if fit.rows), None)


def placed(
    engine: EngineSpec, gpu: Gpu | None, max_rows: int, tokens: int, most_gpus: int | None = None
) -> Fit | None:
    """The GPUs of an actor that holds the engine with up to `max_rows` rows. None if no node holds a row.

    The actor gets a share of a GPU if half a GPU or less holds all rows. Otherwise it gets the fewest whole
    GPUs that hold ENOUGH_ROWS, or else the fewest that hold one row. On a CPU (None) memory is not checked.
    """
    if gpu is None:
        return replace(fit_on(engine, NO_GPU, 1, tokens), gpus=0, rows=max_rows)
    part = shared(engine, gpu, max_rows, tokens)
    if part is not None:
        return part
    most = GPU_COUNTS[-1] if most_gpus is None else most_gpus
    whole = [
        capped(fit, max_rows) for fit in fits(engine, gpu, tokens) if fit.rows and fit.gpus <= most
    ]
    enough = (fit for fit in whole if fit.rows >= min(max_rows, ENOUGH_ROWS))
    return next(enough, whole[0] if whole else None)


def shared(engine: EngineSpec, gpu: Gpu, max_rows: int, tokens: int) -> Fit | None:
    """The engine on the smallest share of a GPU that holds all rows. None if it exceeds LARGEST_SHARE."""
    fit = fit_on(engine, gpu, 1, tokens)
    a = engine.model.architecture
    needed = fit.weights_bytes + workspace_bytes(a, 0) + max_rows * fit.row_bytes
    steps = -(-needed * STEPS // gpu.memory_bytes)
    return replace(fit, gpus=steps / STEPS, rows=max_rows) if steps <= LARGEST_SHARE else None


def given(engine: EngineSpec, gpu: Gpu, gpus: float, max_rows: int, tokens: int) -> Fit | None:
    """The engine on exactly the GPUs, or the share of one, that an actor has. None if it does not fit."""
    part = replace(gpu, memory_bytes=int(gpu.memory_bytes * min(1, gpus)))
    try:
        fit = replace(fit_on(engine, part, max(1, int(gpus)), tokens), gpus=gpus)
    except ValueError:
        return None
    return capped(fit, max_rows) if fit.rows else None


def capped(fit: Fit, max_rows: int) -> Fit:
    return replace(fit, rows=min(fit.rows, max_rows))


def row_tokens(config: RunConfig) -> int:
    """The longest row over all benchmarks of the sweep, in tokens without the prompt.

    The plan and the jobs both use this number. So an engine keeps its GPUs when only the benchmark with
    shorter answers is left.
    """
    budget = config.sweep.token_budgets[-1]
    return max(sequence_tokens(0, budget, 0, b.answer_tokens) for b in config.sweep.benchmarks)


def fit_of(
    engine: EngineSpec, pool: Pool, cluster: Cluster, max_rows: int, tokens: int
) -> Fit | None:
    """How an actor of an engine is laid out on GPUs of a pool. None if they do not hold it."""
    gpus = cluster.gpus_per_actor
    if gpus is None:
        return placed(engine, pool.gpu, max_rows, tokens, pool.gpus)
    if pool.gpus is not None and gpus > pool.gpus:
        return None
    return given(engine, pool.gpu, gpus, max_rows, tokens)


def check_fit(config: RunConfig, engines: Iterable[EngineSpec], known: Iterable[Gpu] = ()) -> None:
    """Raise if an engine fits on no GPU of the cluster. Without known kinds of GPU nothing is checked.

    known  kinds of GPU that may be suggested instead
    """
    cluster, known = config.cluster, tuple(known)
    if not cluster.pools or not cluster.on_gpus:
        return
    rows, tokens = config.generation.max_rows, row_tokens(config)
    for engine in engines:
        if not any(fit_of(engine, pool, cluster, rows, tokens) for pool in cluster.pools):
            raise ConfigError(refusal(config, engine, known))


def refusal(config: RunConfig, engine: EngineSpec, known: Iterable[Gpu]) -> str:
    """The message that an engine fits nowhere, with the GPUs that would hold it."""
    cluster, tokens = config.cluster, row_tokens(config)
    names = " or ".join(pool_name(pool) for pool in cluster.pools)
    field, share = "cluster.gpu", f"no node of {names} holds"
    if cluster.gpus_per_actor is not None:
        field, share = "cluster.gpus_per_actor", f"{cluster.gpus_per_actor:g} {names} cannot hold"
    would = what_would([*(pool.gpu for pool in cluster.pools), *known], engine, tokens)
    return (
        f"{field}: {share} {engine.engine_id} with one sequence of {tokens:,} tokens; {would}, "
        "or leave the engine out"
    )


def pool_name(pool: Pool) -> str:
    """`l4-24`, or `2 l4-24` where it is known how many there are."""
    return pool.gpu.name if pool.gpus is None else f"{pool.gpus} {pool.gpu.name}"


def what_would(gpus: Iterable[Gpu], engine: EngineSpec, tokens: int) -> str:
    """The fewest GPUs of each kind that hold an engine, in words. The first kind of a name counts."""
    kinds: dict[str, Gpu] = {}
    for gpu in gpus:
        kinds.setdefault(gpu.name, gpu)
    found = {name: least_fit(engine, gpu, tokens) for name, gpu in kinds.items()}
    counts = [f"{fit.gpus:g} {name}" for name, fit in found.items() if fit is not None]
    if not counts:
        return "no known node holds it; lower the largest token budget"
    return f"use {' or '.join(counts)}"

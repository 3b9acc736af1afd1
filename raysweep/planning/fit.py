"""Which GPUs hold an engine: its weights, the rows that decode together, and what it takes besides.

    memory of each GPU >= share of the weights + fixed + rows * (share of a row's cache + its logits)

A row is a sequence that has used the largest token budget. Its cache counts at its peak, and `fixed` is an
allowance. The torch engine takes more for a row and besides (see `torch_memory`), and runs on one GPU. The
rows of vLLM share a paged cache, so there a row counts at its mean length (see `vllm_memory`). An engine's
share of a GPU is its share of the GPU's memory, so engines whose shares sum to 1 or less fit on one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from raysweep.memory import architecture_bytes, kv_peak_bytes, share, workspace_bytes
from raysweep.planning import torch_memory, vllm_memory
from raysweep.planning.backends import lacks_bf16
from raysweep.planning.lengths import Lengths
from raysweep.run_config import Cluster, Gpu, Pool
from raysweep.spec import Architecture, EngineSpec

# An engine may be split over these numbers of GPUs of one node, unless its backend uses one only.
GPU_COUNTS = (1, 2, 4, 8)
ONE_GPU = ("torch",)
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

    gpus          whole GPUs, or a share of one; 0 on a CPU
    rows          the most sequences that decode together
    fixed_bytes   taken besides weights and rows
    spread_bytes  what a row at its longest takes beyond `row_bytes`, which `fixed_bytes` has for one row
    room_bytes    what the rows share, if they are not reserved at their longest
    """

    gpus: float
    weights_bytes: int
    row_bytes: int
    rows: int
    fixed_bytes: int = 0
    spread_bytes: int = 0
    room_bytes: int = 0

    @property
    def certain_rows(self) -> int:
        """Rows that fit even if all of them are at their longest."""
        if not self.spread_bytes:
            return self.rows
        return min(self.rows, self.room_bytes // (self.row_bytes + self.spread_bytes))

    def peak_bytes(self, rows: int) -> int:
        """The most bytes that the engine takes with that many rows."""
        return self.weights_bytes + self.fixed_bytes + rows * self.row_bytes


def fit_on(engine: EngineSpec, gpu: Gpu, gpus: int, lengths: Lengths) -> Fit:
    """The engine split over `gpus` GPUs, with as many rows as fit.

    Raises ValueError if it does not split over so many GPUs.
    """
    if gpus > 1 and engine.backend in ONE_GPU:
        raise ValueError(f"the {engine.backend} engine runs on one GPU, not on {gpus}")
    if lacks_bf16(engine.backend, gpu):
        raise ValueError(f"{gpu.name} has no bf16, in which the {engine.backend} engine computes")
    a = share(engine.model.architecture, gpus)
    weights = architecture_bytes(a, engine.weights)
    row, fixed = _taken(engine, a, lengths.within(a))
    if engine.backend == "vllm":
        spread = vllm_memory.spread_bytes(a, engine.kv_policy, lengths.within(a))
        free = vllm_memory.usable_bytes(gpu.memory_bytes) - weights - fixed
        return Fit(gpus, weights, row, max(0, free // row), fixed, spread, free + spread)
    free = gpu.memory_bytes - weights - fixed
    return Fit(gpus, weights, row, max(0, free // row), fixed)


def _taken(engine: EngineSpec, a: Architecture, lengths: Lengths) -> tuple[int, int]:
    """Bytes of each row and of everything besides weights and rows, on a GPU that holds `a`."""
    policy = engine.kv_policy
    if engine.backend == "torch":
        row = torch_memory.row_bytes(a, policy, lengths)
        return row, torch_memory.fixed_bytes(a, policy, lengths)
    if engine.backend == "vllm":
        row = vllm_memory.row_bytes(a, policy, lengths)
        return row, vllm_memory.fixed_bytes(a, policy, lengths)
    logits = workspace_bytes(a, 1) - workspace_bytes(a, 0)
    return kv_peak_bytes(a, policy, lengths.row) + logits, workspace_bytes(a, 0)


def fits(engine: EngineSpec, gpu: Gpu, lengths: Lengths) -> Iterator[Fit]:
    """The engine on each number of GPUs over which it splits, even if no row fits."""
    for gpus in GPU_COUNTS:
        try:
            yield fit_on(engine, gpu, gpus, lengths)
        except ValueError:
            return


def least_fit(engine: EngineSpec, gpu: Gpu, lengths: Lengths) -> Fit | None:
    """The engine on the fewest GPUs of a node that hold it with one row. None if no node does."""
    return next((fit for fit in fits(engine, gpu, lengths) if fit.rows), None)


def placed(
    engine: EngineSpec,
    gpu: Gpu | None,
    max_rows: int,
    lengths: Lengths,
    most_gpus: int | None = None,
) -> Fit | None:
    """The GPUs of an actor that holds the engine with up to `max_rows` rows.

    None if no node holds a row, or the engine does not run on this kind of GPU at all.

    The actor gets a share of a GPU if half a GPU or less holds all rows. Otherwise it gets the fewest whole
    GPUs that hold ENOUGH_ROWS, or else the fewest that hold one row. On a CPU (None) memory is not checked.
    """
    if gpu is None:
        return replace(fit_on(engine, NO_GPU, 1, lengths), gpus=0, rows=max_rows)
    if lacks_bf16(engine.backend, gpu):
        return None
    part = shared(engine, gpu, max_rows, lengths)
    if part is not None:
        return part
    most = GPU_COUNTS[-1] if most_gpus is None else most_gpus
    whole = [
        capped(fit, max_rows) for fit in fits(engine, gpu, lengths) if fit.rows and fit.gpus <= most
    ]
    enough = (fit for fit in whole if fit.certain_rows >= min(max_rows, ENOUGH_ROWS))
    return next(enough, whole[0] if whole else None)


def shared(engine: EngineSpec, gpu: Gpu, max_rows: int, lengths: Lengths) -> Fit | None:
    """The engine on the smallest share of a GPU that holds all rows. None if it exceeds LARGEST_SHARE."""
    fit = fit_on(engine, gpu, 1, lengths)
    steps = -(-fit.peak_bytes(max_rows) * STEPS // gpu.memory_bytes)
    room = fit.spread_bytes + max_rows * fit.row_bytes
    shared = replace(fit, gpus=steps / STEPS, rows=max_rows, room_bytes=room)
    return shared if steps <= LARGEST_SHARE else None


def given(engine: EngineSpec, gpu: Gpu, gpus: float, max_rows: int, lengths: Lengths) -> Fit | None:
    """The engine on exactly the GPUs, or the share of one, that an actor has. None if it does not fit."""
    part = replace(gpu, memory_bytes=int(gpu.memory_bytes * min(1, gpus)))
    try:
        fit = replace(fit_on(engine, part, max(1, int(gpus)), lengths), gpus=gpus)
    except ValueError:
        return None
    return capped(fit, max_rows) if fit.rows else None


def capped(fit: Fit, max_rows: int) -> Fit:
    return replace(fit, rows=min(fit.rows, max_rows))


def fit_of(
    engine: EngineSpec, pool: Pool, cluster: Cluster, max_rows: int, lengths: Lengths
) -> Fit | None:
    """How an actor of an engine is laid out on GPUs of a pool. None if they do not hold it."""
    gpus = cluster.gpus_per_actor
    if gpus is None:
        return placed(engine, pool.gpu, max_rows, lengths, pool.together)
    if pool.together is not None and gpus > pool.together:
        return None
    return given(engine, pool.gpu, gpus, max_rows, lengths)

"""What fits on which GPU: weights, the KV cache of the rows that decode together, and an allowance.

    memory of the GPUs >= share of the weights + rows * (share of a row's cache + its logits) + allowance

A row is a sequence that has used the largest token budget; its cache counts at its fullest.
"""

from dataclasses import dataclass

from raysweep.errors import ConfigError
from raysweep.memory import architecture_bytes, kv_peak_bytes, share, workspace_bytes
from raysweep.run_config import Gpu, RunConfig
from raysweep.spec import EngineSpec

GPU_COUNTS = (1, 2, 4, 8)  # of one node, over which an engine is split


@dataclass(frozen=True)
class Fit:
    """How an engine lies on GPUs of a kind; bytes are those of one GPU."""

    gpus: int
    weights_bytes: int
    row_bytes: int
    rows: int


def fit_on(engine: EngineSpec, gpu: Gpu, gpus: int, tokens: int) -> Fit:
    """The engine split over `gpus` of a kind, with as many rows of `tokens` tokens as there is room for.

    Raises ValueError if its heads or features do not split over so many.
    """
    a = share(engine.model.architecture, gpus)
    weights = architecture_bytes(a, engine.weights)
    row_logits = workspace_bytes(a, 1) - workspace_bytes(a, 0)
    row = kv_peak_bytes(a, engine.kv_policy, tokens) + row_logits
    free = gpu.memory_bytes - weights - workspace_bytes(a, 0)
    return Fit(gpus, weights, row, max(0, free // row))


def least_fit(engine: EngineSpec, gpu: Gpu, tokens: int) -> Fit | None:
    """The engine on as few GPUs of a node as hold it with one row; None if no node does."""
    for gpus in GPU_COUNTS:
        try:
            fit = fit_on(engine, gpu, gpus, tokens)
        except ValueError:
            return None
        if fit.rows:
            return fit
    return None


def row_tokens(config: RunConfig) -> int:
    """Tokens of a row that has thought to its largest budget and answered; the prompt is not counted."""
    answer = max(benchmark.answer_tokens for benchmark in config.sweep.benchmarks)
    return config.sweep.token_budgets[-1] + answer


def check_fit(config: RunConfig, engines: tuple[EngineSpec, ...]) -> None:
    """Raise if an engine does not fit on the GPUs that its actor gets, where their kind is known."""
    cluster, tokens = config.cluster, row_tokens(config)
    if cluster.gpu is None or cluster.gpus_per_actor == 0:
        return
    for engine in engines:
        given = Gpu(
            cluster.gpu.name, int(cluster.gpu.memory_bytes * min(1, cluster.gpus_per_actor))
        )
        found = least_fit(engine, given, tokens)
        if found is None or found.gpus > max(1, cluster.gpus_per_actor):
            need = f"{found.gpus} of them do" if found else "no node of them does"
            raise ConfigError(
                f"cluster.gpus_per_actor: {cluster.gpus_per_actor:g} {cluster.gpu.name} cannot hold "
                f"{engine.engine_id} with one sequence of {tokens:,} tokens; {need}; choose another "
                "cluster.gpu, or leave the engine out"
            )

"""How fast an engine decodes on a kind of GPU: a roofline, before anything is measured. Pure: no I/O.

A decode step reads the weights once, whatever its rows, and of each row its KV cache; or, where that takes
longer, it computes the row's products:

    step(rows) = weights / bandwidth + rows * max(KV bytes / bandwidth, FLOPs / FLOPs a second)

(Williams et al., "Roofline", CACM 2009; with the weights' part added, not overlapped, so that it errs on
the slow side.) A fraction of a GPU has that fraction of its bandwidth and FLOPs; n GPUs under tensor
parallelism share bytes and FLOPs. Left out: prompts, which are short beside thousands of tokens of
thinking, and what unpacking of quantised numbers costs. The constants below are assumptions. They are
corrected by what finished shards took (`learnt`).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.memory import NATIVE_BYTES, architecture_bytes, kv_bytes, share
from raysweep.run_config import Gpu
from raysweep.spec import Architecture, EngineSpec

if TYPE_CHECKING:
    from raysweep.planning.fit import Fit

BANDWIDTH_EFFICIENCY = 0.7  # of the data sheet's, that a decode step reaches
FLOPS_EFFICIENCY = 0.5  # likewise
DOUBLING_EFFICIENCY = 0.9  # what is kept each time that twice as many GPUs share an engine
DISK_BYTES_S = 1e9  # at which a checkpoint is read
START_S, CPU_START_S = 30.0, 5.0  # process, libraries, kernels, before and after that

# A nominal core with its share of the memory, for relative costs where there is no GPU.
CPU_BANDWIDTH_BYTES_S, CPU_FLOPS_S = 10e9, 50e9


@dataclass(frozen=True)
class Speed:
    """One engine on one actor's share of the GPUs of a kind, or on a CPU.

    gpus    share of a GPU (< 1), or whole GPUs; 0 on a CPU
    rows    sequences that decode together at most
    step_s  seconds of a decode step whatever its rows: the weights are read
    row_s   seconds that each row adds, at its mean length
    load_s  seconds to load the engine
    """

    gpus: float
    rows: int
    step_s: float
    row_s: float
    load_s: float

    def tokens_s(self, rows: int | None = None) -> float:
        """Tokens a second, all rows together; None: as many rows as there may be."""
        rows = self.rows if rows is None else rows
        return rows / (self.step_s + rows * self.row_s)


def speed(engine: EngineSpec, gpu: Gpu | None, fit: "Fit", tokens: int) -> Speed:
    """The engine as it lies on GPUs of a kind (`fit.placed`), with traces of `tokens` tokens.

    Without a GPU it is a nominal core's: good for comparing engines, for nothing else.
    """
    a = share(engine.model.architecture, max(1, int(fit.gpus)))  # what one of the GPUs holds
    bandwidth, flops = _rates(gpu, fit.gpus)
    held = kv_bytes(a, engine.kv_policy, tokens // 2)
    stored = architecture_bytes(engine.model.architecture, engine.weights)
    start_s = CPU_START_S if gpu is None else START_S
    return Speed(
        gpus=fit.gpus,
        rows=fit.rows,
        step_s=_read_bytes(a, fit.weights_bytes) / bandwidth,
        row_s=max(held / bandwidth, _token_flops(a, engine, tokens // 2) / flops),
        load_s=start_s + stored / DISK_BYTES_S,
    )


def _rates(gpu: Gpu | None, gpus: float) -> tuple[float, float]:
    """Bytes and FLOPs a second that count, of one GPU or of the fraction of one."""
    if gpu is None:
        return CPU_BANDWIDTH_BYTES_S, CPU_FLOPS_S
    kept = gpus if gpus < 1 else DOUBLING_EFFICIENCY ** math.log2(gpus)
    return (
        gpu.bandwidth_bytes_s * BANDWIDTH_EFFICIENCY * kept,
        gpu.flops_s * FLOPS_EFFICIENCY * kept,
    )


def _read_bytes(a: Architecture, weights_bytes: int) -> int:
    """Of the weights' bytes those that a step reads: of an embedding that is not the head, a few rows."""
    embedding = a.vocab_size * a.hidden_size * NATIVE_BYTES
    return weights_bytes - (0 if a.tied_embeddings else embedding)


def _token_flops(a: Architecture, engine: EngineSpec, tokens: int) -> int:
    """FLOPs of one token: two for each weight it is multiplied with, and its attention."""
    q_size, kv_size = a.heads * a.head_dim, a.kv_heads * a.head_dim
    layer = a.hidden_size * (2 * q_size + 2 * kv_size + 3 * a.intermediate_size)
    head = a.vocab_size * a.hidden_size
    attended = engine.kv_policy.held(tokens).tokens
    return 2 * (a.layers * layer + head) + 4 * a.layers * q_size * attended

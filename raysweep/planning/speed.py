"""How fast an engine decodes on a kind of GPU: a roofline, before anything is measured. Pure: no I/O.

A decode step reads the weights once, whatever the number of rows. For each row it reads the KV cache and
computes, and the slower of the two counts:

    step(rows) = weights / bandwidth + rows * max(row's bytes / bandwidth, FLOPs / FLOPs per second)

A row's bytes are those of its KV cache. For the torch engine on a GPU they are all that it moves. Its
instructions for unpacking quantised numbers are a third term of the maximum, the largest one on an A100. Its
compactions are added as their share per token (`traffic`). Where vLLM's rows share less memory than all of
them take at their longest, some wait, and tokens are computed again (`vllm_memory.crowding`).

This follows Williams et al., "Roofline", CACM 2009, but adds the weights' part instead of overlapping it, so
the model errs on the slow side. A fraction of a GPU has that fraction of its bandwidth and FLOPs. n GPUs
under tensor parallelism share bytes and FLOPs. The model leaves out prompts, which are short beside
thousands of thinking tokens, and the time between kernels. The constants below are assumptions, which the
measured times of finished shards correct (`measured`).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.memory import NATIVE_BYTES, kv_bytes, share
from raysweep.planning.loads import modelled_load_s
from raysweep.planning.traffic import Work, compaction, step_bytes, unpacking_instructions
from raysweep.planning.vllm_memory import Crowding, crowding
from raysweep.run_config import Gpu
from raysweep.spec import Architecture, EngineSpec

if TYPE_CHECKING:
    from raysweep.planning.fit import Fit

# The shares of the data sheet's bandwidth and FLOPs that a decode step reaches.
BANDWIDTH_EFFICIENCY = 0.7
FLOPS_EFFICIENCY = 0.5
ISSUE_EFFICIENCY = 0.6  # of the instructions that a GPU can issue
# The efficiency that remains each time the number of GPUs of an engine doubles.
DOUBLING_EFFICIENCY = 0.9

# A nominal CPU core with its share of the memory, for comparing costs without a GPU.
CPU_BANDWIDTH_BYTES_S, CPU_FLOPS_S = 10e9, 50e9


@dataclass(frozen=True)
class Speed:
    """The speed of one engine on the GPUs of one actor, or on a CPU.

    gpus    share of a GPU (< 1), or whole GPUs; 0 on a CPU
    rows    the most sequences that decode together
    step_s  seconds that a decode step takes to read the weights, whatever its rows; more if some rows wait
    row_s   seconds that each row adds at its mean length
    load_s  seconds to load the engine
    """

    gpus: float
    rows: int
    step_s: float
    row_s: float
    load_s: float

    def tokens_s(self, rows: int | None = None) -> float:
        """Tokens per second of all rows together. None stands for the most rows."""
        rows = self.rows if rows is None else rows
        return rows / (self.step_s + rows * self.row_s)


def speed(engine: EngineSpec, gpu: Gpu | None, fit: "Fit", tokens: int) -> Speed:
    """The speed of the engine laid out by `fit` (see `fit.placed`), with traces of `tokens` tokens.

    Without a GPU it is the speed of a nominal CPU core, which serves only to compare engines.
    """
    a = share(engine.model.architecture, max(1, int(fit.gpus)))  # the part that one GPU holds
    rates = _rates(gpu, fit.gpus)
    on_torch = gpu is not None and engine.backend == "torch"
    moved = (step_bytes if on_torch else kv_bytes)(a, engine.kv_policy, tokens // 2)
    flops = _token_flops(a, engine, tokens // 2)
    unpacking = unpacking_instructions(a, engine.kv_policy, tokens // 2) if on_torch else 0
    row_s = _seconds(Work(moved, flops, unpacking), rates)
    if on_torch:
        row_s += _seconds(compaction(a, engine.kv_policy, tokens), rates)
    crowded = crowding(fit.rows, fit.certain_rows) if gpu else Crowding()
    row_s += crowded.recomputed * flops / rates.flops
    return Speed(
        gpus=fit.gpus,
        rows=fit.rows,
        step_s=_read_bytes(a, fit.weights_bytes) / rates.moved / crowded.decoding,
        row_s=row_s,
        load_s=modelled_load_s(engine, on_gpu=gpu is not None),
    )


def prefill_s(engine: EngineSpec, gpu: Gpu | None, fit: "Fit", tokens: int) -> float:
    """Seconds in which an actor computes so many known tokens of a trace, to continue it after them.

    All are computed at once, so the weights are read once for all of them, which is left out. No FLOPs are
    saved, but to decode the same tokens takes as many and more bytes, so it never takes less time.
    """
    a = share(engine.model.architecture, max(1, int(fit.gpus)))
    return tokens * _token_flops(a, engine, tokens // 2) / _rates(gpu, fit.gpus).flops


def _rates(gpu: Gpu | None, gpus: float) -> Work:
    """What one GPU, or a fraction of one, does in a second in effect."""
    if gpu is None:
        return Work(CPU_BANDWIDTH_BYTES_S, CPU_FLOPS_S)
    kept = gpus if gpus < 1 else DOUBLING_EFFICIENCY ** math.log2(gpus)
    # Two FLOPs are one instruction. Most instructions of unpacking are no FLOPs, but as many are issued.
    issued = gpu.fp32_flops_s / 2 * ISSUE_EFFICIENCY
    whole = Work(
        gpu.bandwidth_bytes_s * BANDWIDTH_EFFICIENCY, gpu.flops_s * FLOPS_EFFICIENCY, issued
    )
    return whole * kept


def _seconds(work: Work, rates: Work) -> float:
    """The time of whichever takes longest; instructions take none where a GPU's rate is unknown."""
    issuing = work.instructions / rates.instructions if rates.instructions else 0.0
    return max(work.moved / rates.moved, work.flops / rates.flops, issuing)


def _read_bytes(a: Architecture, weights_bytes: int) -> int:
    """The bytes of the weights that a step reads. Of an untied embedding it reads only a few rows."""
    embedding = a.vocab_size * a.hidden_size * NATIVE_BYTES
    return weights_bytes - (0 if a.tied_embeddings else embedding)


def _token_flops(a: Architecture, engine: EngineSpec, tokens: int) -> int:
    """FLOPs per token: two for each weight that it is multiplied with, and those of its attention."""
    q_size, kv_size = a.heads * a.head_dim, a.kv_heads * a.head_dim
    layer = a.hidden_size * (2 * q_size + 2 * kv_size + 3 * a.intermediate_size)
    head = a.vocab_size * a.hidden_size
    attended = engine.kv_policy.held(tokens).tokens
    return 2 * (a.layers * layer + head) + 4 * a.layers * q_size * attended

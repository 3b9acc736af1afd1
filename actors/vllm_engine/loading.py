"""Loading vLLM: its settings come from the memory model, and what it takes is compared with that model.

On whole GPUs, vLLM gets what holds the weights, the KV cache of all rows at their longest, and the memory
model's allowance for everything else, or as much of that as is free. On a share of a GPU, it gets the cache
that the plan has counted. If it does not fit, loading is tried once more with a smaller cache, in which
fewer rows run at a time.
"""

import gc
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from vllm import EngineArgs, LLMEngine, envs
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.platforms import current_platform

from actors.checked_files import checked_folder
from actors.vllm_engine import checks, loading_turn
from actors.vllm_engine.attention import attention_backend
from actors.vllm_engine.gpu_memory import device_uuid, free_and_total
from raysweep import memory
from raysweep.planning.backends import kv_cache_dtype
from raysweep.planning.vllm_memory import GPU_BLOCK_TOKENS, asked_bytes, sequence_bytes
from raysweep.spec import Architecture, EngineSpec, WeightSpec
from raysweep.system.machine import available_bytes

CPU_BLOCK_TOKENS = 32  # tokens per cache block, the fewest that vLLM's CPU attention supports
# A share of a GPU that is free in any case: vLLM asks for it although it is told the bytes of its cache.
ANY_SHARE = 0.01
MOST_OF_A_CPU = 0.5  # share of the free memory that vLLM's cache may take on a CPU
SMALLER = 0.7  # share of the wanted cache that the second try gets


@dataclass(frozen=True)
class Limits:
    """What an engine must hold, and where.

    max_rows  sequences that it decodes at a time
    longest   tokens of the longest sequence; None means the model's context
    mean      tokens of a sequence at its mean length, as the plan counts them; None means the longest
    gpus      a share of one GPU or a number of whole ones; 0 means a CPU
    """

    max_rows: int
    longest: int | None = None
    gpus: float = 0.0
    mean: int | None = None

    @property
    def shares_a_gpu(self) -> bool:
        return 0 < self.gpus < 1

    @property
    def ranks(self) -> int:
        """GPUs over which the model is split."""
        return max(1, int(self.gpus))


@dataclass(frozen=True)
class LoadedVllm:
    """A running vLLM, the folder of its model, and what a user should know about it.

    reproducible  see `Trace`
    """

    llm: Any
    path: str
    reproducible: str
    warnings: tuple[str, ...]


def load(spec: EngineSpec, limits: Limits, dtype: str = "auto") -> LoadedVllm:
    """Start vLLM for a spec.

    Raises ValueError if this device cannot run it, MemoryError if its memory is too small.
    """
    checks.check_device(limits.ranks, limits.gpus)
    checks.check_dtype(dtype)
    path = checked_folder(spec)
    with _turn(limits):
        llm = _start(spec, limits, path, dtype)
    checks.check_kv_dtype(llm, kv_cache_dtype(spec.kv_policy))
    warnings = checks.compare_bytes(llm, spec, path, limits.ranks)
    return LoadedVllm(llm, path, reproducible(spec.weights), warnings)


def reproducible(weights: WeightSpec) -> str:
    """How far a sample with its own seed is reproducible here, see `Trace`.

    vLLM's batch-invariant mode is for GPUs and for 16-bit weights. On a CPU, kernels for one row and for many
    round differently, and so do the kernels of quantised weights, which know nothing of that mode.
    """
    invariant = envs.VLLM_BATCH_INVARIANT and not current_platform.is_cpu()
    return "batch_invariant" if invariant and weights.bits == 16 else "seeded"


def _turn(limits: Limits) -> AbstractContextManager[None]:
    """The turn to load on a GPU that other engines share."""
    if not limits.shares_a_gpu:
        return nullcontext()
    return loading_turn.turn(device_uuid(0))


def _start(spec: EngineSpec, limits: Limits, path: str, dtype: str) -> LLMEngine:
    said = ""
    for part in (1.0, SMALLER):
        try:
            return LLMEngine.from_engine_args(engine_args(spec, limits, path, dtype, part))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            said = str(error)  # the error itself would keep what the failed engine holds
        free_memory()
    raise MemoryError(
        f"not enough memory for {spec.engine_id} with {limits.max_rows} rows, nor with {SMALLER:.0%} of "
        f"its cache ({said}); lower generation.max_rows or the token budgets"
    )


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error at vLLM's start says that memory is too small; some of these are ValueErrors.

    vLLM asserts that no other process frees memory while it measures, so that may be tried again too.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, ValueError | RuntimeError | AssertionError) and (
        "memory" in text
        and any(word in text for word in ("available", "free", "allocate", "cache"))
    )


def free_memory() -> None:
    """Free what a failed or finished vLLM held in this process."""
    cleanup_dist_env_and_memory()
    gc.collect()


def engine_args(spec: EngineSpec, limits: Limits, path: str, dtype: str, part: float) -> EngineArgs:
    """vLLM's settings, with `part` of the cache that all rows would fill."""
    a, kv_dtype = spec.model.architecture, kv_cache_dtype(spec.kv_policy) or "auto"
    longest = limits.longest or a.context
    on_cpu = current_platform.is_cpu()
    return EngineArgs(
        model=path,
        dtype=dtype,
        kv_cache_dtype=kv_dtype,
        attention_backend=attention_backend(kv_dtype, a.head_dim, dtype),
        max_model_len=longest,
        max_num_seqs=limits.max_rows,
        tensor_parallel_size=limits.ranks,
        distributed_executor_backend="uni" if limits.ranks == 1 else "mp",
        enable_prefix_caching=True,
        scheduling_policy="priority",
        generation_config="vllm",  # sampling comes with each request
        disable_log_stats=True,
        seed=0,
        **(_on_cpu(spec, limits, longest, part) if on_cpu else _on_gpu(spec, limits, part)),
    )


def _on_cpu(spec: EngineSpec, limits: Limits, longest: int, part: float) -> dict[str, Any]:
    wanted = cache_bytes(spec, limits, CPU_BLOCK_TOKENS)
    model = spec.model.architecture
    least = sequence_bytes(model, spec.kv_policy, longest, CPU_BLOCK_TOKENS)
    most = int(MOST_OF_A_CPU * available_bytes())
    return {
        "kv_cache_memory_bytes": int(part * max(least, min(wanted, most))),
        # vLLM 0.32 rewinds a row's generator between two chunks of a prompt, which fails on a CPU.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(memory.PREFILL_TOKENS, longest, limits.max_rows),
        "block_size": CPU_BLOCK_TOKENS,
        "enforce_eager": True,
    }


def _on_gpu(spec: EngineSpec, limits: Limits, part: float) -> dict[str, Any]:
    """What each rank holds: the bytes of its cache, or a part of its GPU's memory."""
    a = memory.share(spec.model.architecture, limits.ranks)
    ranks = replace(spec, model=replace(spec.model, architecture=a))
    batch = {"max_num_batched_tokens": max(memory.PREFILL_TOKENS, limits.max_rows)}
    if limits.shares_a_gpu:
        cache = int(part * planned_cache_bytes(ranks, limits))
        return {"kv_cache_memory_bytes": cache, "gpu_memory_utilization": ANY_SHARE, **batch}
    free, total = free_and_total(limits.ranks)
    cache = cache_bytes(ranks, limits, GPU_BLOCK_TOKENS)
    asked = asked_bytes(free, total, besides_cache_bytes(a, spec, limits.max_rows), cache, part)
    return {"gpu_memory_utilization": asked / total, **batch}


def besides_cache_bytes(a: Architecture, spec: EngineSpec, rows: int) -> int:
    """Bytes of weights and of the allowance for all else, without what CUDA takes for itself."""
    allowance = memory.workspace_bytes(a, rows) - memory.CONTEXT_BYTES
    return memory.architecture_bytes(a, spec.weights) + allowance


def cache_bytes(spec: EngineSpec, limits: Limits, block_tokens: int) -> int:
    """Bytes of the KV cache of all rows at their longest, in whole blocks, plus one row for the forks."""
    a = spec.model.architecture
    row = sequence_bytes(a, spec.kv_policy, limits.longest or a.context, block_tokens)
    return (limits.max_rows + 1) * row


def planned_cache_bytes(spec: EngineSpec, limits: Limits) -> int:
    """Bytes of the KV cache as the plan counts it: rows at their mean length, but one at its longest."""
    a, policy = spec.model.architecture, spec.kv_policy
    longest = limits.longest or a.context
    rows = (limits.max_rows - 1) * sequence_bytes(a, policy, limits.mean or longest)
    return rows + sequence_bytes(a, policy, longest)

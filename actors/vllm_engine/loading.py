"""Loading vLLM: its settings from the memory model, and what it really takes, compared with that model.

Memory is not guessed: weights, the KV cache of all rows at their longest, and the memory model's allowance
for everything else make the share of the GPU that vLLM may take, or on a CPU the size of its cache. One that
does not fit is tried once more with a smaller cache, in which fewer rows run at a time.
"""

import gc
from dataclasses import dataclass, replace
from typing import Any

import torch
from vllm import EngineArgs, LLMEngine, envs
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.platforms import current_platform

from actors.checkpoint_files import local_folder
from actors.vllm_engine import checks
from raysweep import memory
from raysweep.planning.backends import kv_cache_dtype
from raysweep.spec import EngineSpec
from raysweep.system.machine import available_bytes

CPU_BLOCK_TOKENS = 32  # the least that vLLM's CPU attention takes
GPU_BLOCK_TOKENS = 64  # at most: vLLM chooses, by its attention backend
MOST_OF_A_GPU = 0.95
MOST_OF_A_CPU = 0.5  # of the memory that is free
SMALLER = 0.7


@dataclass(frozen=True)
class Room:
    """What an engine is to hold, and where.

    longest  tokens of the longest sequence to come; None: the model's context
    gpus     a share of one, or whole ones; 0: a CPU
    """

    max_rows: int
    longest: int | None = None
    gpus: float = 0.0

    @property
    def ranks(self) -> int:
        """GPUs over which the model is split."""
        return max(1, int(self.gpus))


@dataclass(frozen=True)
class Loaded:
    """A running vLLM, the folder its model came from, and what a user should know of it."""

    llm: Any
    path: str
    reproducible: str
    warnings: tuple[str, ...]


def load(spec: EngineSpec, room: Room, dtype: str = "auto") -> Loaded:
    """Start vLLM for a spec.

    Raises ValueError where this device cannot run it, MemoryError where its memory does not suffice.
    """
    checks.check_device(room.ranks, room.gpus)
    path = local_folder(spec.checkpoint)
    llm = _start(spec, room, path, dtype)
    checks.check_kv_dtype(llm, kv_cache_dtype(spec.kv_policy))
    warnings = checks.compare_bytes(llm, spec, path, room.ranks)
    return Loaded(llm, path, reproducible(), warnings)


def reproducible() -> str:
    """What a sample with its own seed may rely on here, see `Trace`."""
    if current_platform.is_cpu():
        return "batch_invariant" if torch.get_num_threads() == 1 else "seeded"
    return "batch_invariant" if envs.VLLM_BATCH_INVARIANT else "seeded"


def _start(spec: EngineSpec, room: Room, path: str, dtype: str) -> LLMEngine:
    said = ""
    for part in (1.0, SMALLER):
        try:
            return LLMEngine.from_engine_args(engine_args(spec, room, path, dtype, part))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            said = str(error)  # the error itself would keep what the failed engine holds
        free_memory()
    raise MemoryError(
        f"no room for {spec.engine_id} with {room.max_rows} rows, nor with {SMALLER:.0%} of its cache "
        f"({said}); lower generation.max_rows or the token budgets"
    )


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of vLLM's start says that memory does not suffice; some are plain ValueErrors."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, ValueError | RuntimeError) and (
        "memory" in text
        and any(word in text for word in ("available", "free", "allocate", "cache"))
    )


def free_memory() -> None:
    """Let go of what a failed or finished vLLM held in this process."""
    cleanup_dist_env_and_memory()
    gc.collect()


def engine_args(spec: EngineSpec, room: Room, path: str, dtype: str, part: float) -> EngineArgs:
    """vLLM's settings, with `part` of the cache that all rows would fill."""
    longest = room.longest or spec.model.architecture.context
    on_cpu = current_platform.is_cpu()
    return EngineArgs(
        model=path,
        dtype=dtype,
        kv_cache_dtype=kv_cache_dtype(spec.kv_policy) or "auto",
        max_model_len=longest,
        max_num_seqs=room.max_rows,
        tensor_parallel_size=room.ranks,
        distributed_executor_backend="uni" if room.ranks == 1 else "mp",
        enable_prefix_caching=True,
        generation_config="vllm",  # sampling comes with each request
        disable_log_stats=True,
        seed=0,
        **(_on_cpu(spec, room, longest, part) if on_cpu else _on_gpu(spec, room, part)),
    )


def _on_cpu(spec: EngineSpec, room: Room, longest: int, part: float) -> dict[str, Any]:
    wanted = int(part * cache_bytes(spec, room, CPU_BLOCK_TOKENS))
    least = sequence_bytes(spec, longest, CPU_BLOCK_TOKENS)
    most = int(MOST_OF_A_CPU * part * available_bytes())
    return {
        "kv_cache_memory_bytes": max(least, min(wanted, most)),
        # A prompt in two steps rewinds its seeded generator in between, which a CPU's cannot (0.32).
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(memory.PREFILL_TOKENS, longest, room.max_rows),
        "block_size": CPU_BLOCK_TOKENS,
        "enforce_eager": True,
    }


def _on_gpu(spec: EngineSpec, room: Room, part: float) -> dict[str, Any]:
    """A rank's share of everything, as part of its GPU's memory."""
    total = torch.cuda.get_device_properties(0).total_memory
    a = memory.share(spec.model.architecture, room.ranks)
    model = replace(spec.model, architecture=a)
    cache = part * cache_bytes(replace(spec, model=model), room, GPU_BLOCK_TOKENS)
    weights = memory.architecture_bytes(a, spec.weights)
    wanted = weights + cache + memory.workspace_bytes(a, room.max_rows)
    most = MOST_OF_A_GPU * min(1.0, room.gpus or 1.0)
    return {
        "gpu_memory_utilization": round(min(wanted / total, most), 4),
        "max_num_batched_tokens": max(memory.PREFILL_TOKENS, room.max_rows),
    }


def cache_bytes(spec: EngineSpec, room: Room, block_tokens: int) -> int:
    """Bytes of the KV cache of all rows at their longest, in whole blocks, and one row for the forks."""
    longest = room.longest or spec.model.architecture.context
    return (room.max_rows + 1) * sequence_bytes(spec, longest, block_tokens)


def sequence_bytes(spec: EngineSpec, tokens: int, block_tokens: int) -> int:
    """Bytes of one sequence's cache: its blocks, and one that the pool keeps empty."""
    blocks = -(-tokens // block_tokens) + 1
    return memory.kv_bytes(spec.model.architecture, spec.kv_policy, blocks * block_tokens)

"""Checks of a loaded vLLM: can it read its KV format, and how many bytes does it store?

vLLM accepts KV formats that its attention backend cannot read, and then generates garbage. So the format
must be on the backend's own list. Bytes of weights and of a cached token are compared with the memory
model.
"""

from pathlib import Path
from typing import Any

import torch
from vllm.platforms import current_platform

from raysweep import memory
from raysweep.configuration.checkpoint_folder import read_header
from raysweep.spec import EngineSpec

TOLERANCE = 0.02  # relative difference in bytes beyond which a warning is due
SAMPLE_TOKENS = 1024  # a token's modelled bytes are averaged over this many


def check_device(ranks: int, gpus: float) -> None:
    """Raise ValueError if this process does not see the GPUs that are planned for it."""
    seen = torch.cuda.device_count() if current_platform.is_cuda() else 0
    if gpus and seen < ranks:
        raise ValueError(
            f"cluster.gpus_per_actor: {gpus:g}, but this actor sees {seen} GPUs for {ranks} ranks"
        )


def check_dtype(dtype: str) -> None:
    """Raise ValueError if this GPU lacks bf16. vLLM would compute in fp16 instead, and only log it."""
    if dtype == "auto" and torch.bfloat16 not in current_platform.supported_dtypes:
        name = current_platform.get_device_name()
        raise ValueError(
            f"cluster.gpu: {name} has no bf16, in which engines compute; use another GPU"
        )


def check_kv_dtype(llm: Any, dtype: str | None) -> None:
    """Raise ValueError if the attention backend in use does not list the cache's format."""
    for name, supported in set(llm.model_executor.collective_rpc(_attention_backends)[0]):
        if dtype not in supported:
            raise ValueError(
                f"kv_cache_dtype: vLLM's attention backend {name} cannot read {dtype!r} on this device; "
                f"it reads {', '.join(supported)}"
            )


def _attention_backends(worker: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Name and KV formats of the backend of every attention layer; runs in vLLM's worker."""
    layers = worker.vllm_config.compilation_config.static_forward_context.values()
    backends = [layer.attn_backend for layer in layers if hasattr(layer, "attn_backend")]
    return [(b.get_name(), tuple(b.supported_kv_cache_dtypes)) for b in backends]


def compare_bytes(llm: Any, spec: EngineSpec, path: str, ranks: int) -> tuple[str, ...]:
    """A warning for each kind of bytes in which engine and memory model differ by more than 2%."""
    expected = memory.kv_bytes(spec.model.architecture, spec.kv_policy, SAMPLE_TOKENS)
    pairs = [
        ("weights", weights_bytes(llm, path), memory.weights_bytes(spec.model, spec.weights)),
        ("a cached token", kv_bytes_per_token(llm) * ranks, expected / SAMPLE_TOKENS),
    ]
    return tuple(
        f"{spec.engine_id}: {what} take {measured:,.0f} bytes in vLLM, {model:,.0f} in the memory model "
        f"({measured / model - 1:+.1%})"
        for what, measured, model in pairs
        if abs(measured / model - 1) > TOLERANCE
    )


def kv_bytes_per_token(llm: Any) -> float:
    """Bytes per token in the cache of one rank, over all layers."""
    config = llm.engine_core.engine_core.scheduler.kv_cache_config
    return sum(
        group.kv_cache_spec.page_size_bytes
        * len(group.layer_names)
        / group.kv_cache_spec.block_size
        for group in config.kv_cache_groups
    )


def cached_tokens(llm: Any) -> float:
    """Tokens that the blocks in use can hold; a block that sequences share counts once."""
    scheduler = llm.engine_core.engine_core.scheduler
    config = scheduler.kv_cache_config
    block_tokens = max(group.kv_cache_spec.block_size for group in config.kv_cache_groups)
    empty = 1  # a block that the pool keeps to itself
    return scheduler.kv_cache_manager.usage * (config.num_blocks - empty) * block_tokens


def weights_bytes(llm: Any, path: str) -> int:
    """Bytes of the weights: as vLLM's workers report, or on a CPU, where vLLM repacks them, as on disk."""
    if current_platform.is_cpu():
        return stored_bytes(Path(path))
    return sum(llm.model_executor.collective_rpc(_model_bytes))


def _model_bytes(worker: Any) -> int:
    return worker.model_runner.model_memory_usage


def stored_bytes(folder: Path) -> int:
    """Bytes of all tensors in a folder's safetensors files, from their headers."""
    headers = (read_header(file, "checkpoint") for file in folder.glob("*.safetensors"))
    spans = (tensor["data_offsets"] for header in headers for tensor in header.values())
    return sum(end - start for start, end in spans)

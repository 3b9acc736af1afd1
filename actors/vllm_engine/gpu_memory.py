"""What is free on an engine's GPUs, without CUDA: its context would take half a GB beside vLLM's own."""

from vllm.platforms import current_platform
from vllm.third_party import pynvml


def free_and_total(ranks: int) -> tuple[int, int]:
    """Bytes that are free on the fullest of this process's first `ranks` GPUs, and its total, by NVML."""
    pynvml.nvmlInit()
    try:
        uuids = [current_platform.get_device_uuid(rank) for rank in range(ranks)]
        handles = map(pynvml.nvmlDeviceGetHandleByUUID, uuids)
        found = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
    finally:
        pynvml.nvmlShutdown()
    fullest = min(found, key=lambda memory: memory.free)
    return int(fullest.free), int(fullest.total)

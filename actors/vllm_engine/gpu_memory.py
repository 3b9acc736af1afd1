"""What is free on an engine's GPUs, without CUDA: its context would take half a GB beside vLLM's own."""

import os

from vllm.platforms import current_platform
from vllm.third_party import pynvml


def free_and_total(ranks: int) -> tuple[int, int]:
    """Bytes that are free on the fullest of this process's first `ranks` GPUs, and its total, by NVML."""
    pynvml.nvmlInit()
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByUUID, map(device_uuid, range(ranks)))
        found = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
    finally:
        pynvml.nvmlShutdown()
    fullest = min(found, key=lambda memory: memory.free)
    return int(fullest.free), int(fullest.total)


def device_uuid(rank: int) -> str:
    """The name by which NVML knows one of this process's GPUs, or its slice of one.

    vLLM finds a device by its index. The index of a slice counts within its GPU, so vLLM would name another
    device, mostly the whole GPU.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if rank < len(visible) and visible[rank].startswith("MIG-"):
        return visible[rank]
    return current_platform.get_device_uuid(rank)

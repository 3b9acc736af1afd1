"""How much of its GPUs an engine asks vLLM to take, from what is free on them. Nothing here uses CUDA.

A share of a GPU is asked for as the bytes of the cache. vLLM does not measure then, which would count what
the other engines on that GPU take or free meanwhile. Of whole GPUs vLLM gets a part that it fills itself.
What others hold, such as a desktop's screen, is not asked for.
"""

from vllm.platforms import current_platform
from vllm.third_party import pynvml

from raysweep.memory import CONTEXT_BYTES
from raysweep.planning.vllm_memory import MOST_OF_A_GPU


def asked_bytes(free: int, total: int, taken: int, cache: int, part: float) -> int:
    """Bytes of a GPU that vLLM may take: `taken` and `part` of the cache that fits beside it.

    A smaller part gives less, whatever fits.

    free   bytes that nobody holds, of `total`
    taken  bytes that the engine takes besides the cache, without CUDA's own, which vLLM does not count
    cache  bytes of the cache that is wanted

    Raises MemoryError if nothing is left beside what CUDA takes for itself.
    """
    most = min(int(MOST_OF_A_GPU * total), free - CONTEXT_BYTES)
    if most <= 1:
        raise MemoryError(f"only {free / 1e9:.1f} of {total / 1e9:.1f} GB of a GPU are free")
    room = min(cache, most - taken)
    return taken + int(part * room) if room > 0 else int(part * most)


def free_and_total(ranks: int) -> tuple[int, int]:
    """Bytes that are free on the fullest of this process's first `ranks` GPUs, and its total.

    They are the driver's numbers, so that no CUDA context is made beside vLLM's own.
    """
    pynvml.nvmlInit()
    try:
        uuids = [current_platform.get_device_uuid(rank) for rank in range(ranks)]
        handles = map(pynvml.nvmlDeviceGetHandleByUUID, uuids)
        found = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
    finally:
        pynvml.nvmlShutdown()
    fullest = min(found, key=lambda memory: memory.free)
    return int(fullest.free), int(fullest.total)

"""The environment variables of an engine's actor: what its backend needs, and what the user has set."""

import os

from raysweep.driver.ray_session import NO_GPU
from raysweep.spec import EngineSpec

# Set before vLLM is imported, so that it runs in the actor's own process, on one thread, and quietly.
VLLM = {
    "OMP_NUM_THREADS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    # FlashInfer's sampler is never used, since every request has a seed. But vLLM warms it up, for which nvcc
    # compiles it, and an engine does not start where nvcc is missing.
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
    # DeepGEMM's kernels for fp8 weights are compiled by nvcc too. They also round scales to powers of two, so
    # an engine would compute other numbers on Hopper and Blackwell than elsewhere. CUTLASS takes its place.
    "VLLM_USE_DEEP_GEMM": "0",
    # FlashInfer's all-reduce is compiled by nvcc when several GPUs share an engine. vLLM has its own.
    "VLLM_ALLREDUCE_USE_FLASHINFER": "0",
}

# Threads of one product that spin while they wait for each other stand still when another process runs.
PATIENT = {"OMP_WAIT_POLICY": "passive"}


def environment(engine: EngineSpec, gpus: float) -> dict[str, str]:
    """Environment variables for an actor. vLLM's variables that the user has set take precedence."""
    hidden = {} if gpus else NO_GPU
    if engine.backend != "vllm":
        return {**PATIENT, **hidden}
    users = {name: value for name, value in os.environ.items() if name.startswith("VLLM_")}
    return {**VLLM, **users, **hidden}

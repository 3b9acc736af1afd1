"""The environment variables of an engine's actor: what its backend needs, and what the user has set."""

import os

from raysweep.driver.ray_session import NO_GPU
from raysweep.run_config import Server
from raysweep.spec import EngineSpec
from raysweep.system.safe_text import SECRET_KEY

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


# Variables of these libraries reach the workers as the user has set them for the driver.
HUB, VLLMS = "HF_", "VLLM_"


def environment(engine: EngineSpec, gpus: float) -> dict[str, str]:
    """Environment variables for an actor, without secrets, since Ray's dashboard shows them.

    The user's variables take precedence.
    """
    hidden = {} if gpus else NO_GPU
    if engine.backend != "vllm":
        return {**PATIENT, **hub_environment(), **hidden}
    return {**VLLM, **_open(VLLMS), **hub_environment(), **hidden}


def hub_environment() -> dict[str, str]:
    """How a worker reaches the Hugging Face hub, or that it must not. Without secrets."""
    return _open(HUB)


def secrets(server: Server | None = None) -> dict[str, str]:
    """The secret ones among the variables, and the key of an actor's server.

    They are given to an actor as an argument, and shown nowhere. Without spaces at their ends, since one that
    was read from a file often has a newline there, which no header may have.
    """
    found = {name: value for name, value in _users(HUB, VLLMS).items() if SECRET_KEY.search(name)}
    if server is not None and server.key_env in os.environ:
        found[server.key_env] = os.environ[server.key_env]
    return {name: value.strip() for name, value in found.items()}


def _open(prefix: str) -> dict[str, str]:
    found = _users(prefix)
    return {name: value for name, value in found.items() if not SECRET_KEY.search(name)}


def _users(*prefixes: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(prefixes)}

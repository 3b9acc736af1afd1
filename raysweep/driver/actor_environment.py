"""The environment variables of an engine's actor: what its backend needs, and what the user has set."""

import os

from raysweep.driver.ray_session import NO_GPU
from raysweep.run_config import Server
from raysweep.spec import EngineSpec
from raysweep.system.safe_text import SECRET_KEY, without_secrets

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


# Variables that begin so reach the workers as the user has set them for the driver.
HUB, VLLMS = ("HF_", "HUGGING_FACE_HUB_TOKEN"), ("VLLM_",)


def environment(engine: EngineSpec, gpus: float) -> dict[str, str]:
    """Environment variables for an actor that Ray sets, and shows in its dashboard.

    The user's variables take precedence.
    """
    hidden = {} if gpus else NO_GPU
    if engine.backend != "vllm":
        return {**PATIENT, **hub_environment(), **hidden}
    return {**VLLM, **_shown(VLLMS), **hub_environment(), **hidden}


def hub_environment() -> dict[str, str]:
    """How a worker reaches the Hugging Face hub, or that it must not."""
    return _shown(HUB)


def handed_over(server: Server | None = None) -> dict[str, str]:
    """Variables that an actor is given as an argument, and that apply where its node has none of its own.

    These are secrets, the key of the actor's server among them, which no dashboard may show, and folders,
    which may lie elsewhere on a node. They have no space at their ends: a secret from a file often ends with
    a newline, which no header may have.
    """
    users = {name: value.strip() for name, value in _users((*HUB, *VLLMS)).items()}
    found = {name: value for name, value in users.items() if _is_private(name, value)}
    if server is not None and server.key_env in os.environ:
        found[server.key_env] = os.environ[server.key_env].strip()
    return found


def _shown(beginnings: tuple[str, ...]) -> dict[str, str]:
    users = _users(beginnings)
    return {name: value for name, value in users.items() if not _is_private(name, value)}


def _is_private(name: str, value: str) -> bool:
    """Whether a variable is a secret, by its name or by what it contains, or a folder."""
    secret = SECRET_KEY.search(name) or without_secrets(value) != value
    return bool(secret) or os.path.isabs(os.path.expanduser(value))


def _users(beginnings: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(beginnings)}

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

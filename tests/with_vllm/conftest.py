"""Run by `make test-vllm` in an environment that has vLLM; the ordinary tests leave this folder out."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from raysweep.driver.actor_environment import VLLM
from raysweep.driver.ray_session import NO_GPU

ON_GPU = os.path.exists("/proc/driver/nvidia")
os.environ.update(
    VLLM if ON_GPU else {**VLLM, **NO_GPU}
)  # as an actor has it, before torch and vLLM


@pytest.fixture
def make_engine() -> Iterator[Callable[..., Any]]:
    """Makes vLLM engines in this process, of which one lives at a time."""
    from with_vllm.engines import VllmEngine, a_spec

    from actors.vllm_engine.loading import Limits, free_memory

    living: list[VllmEngine] = []

    def make(
        name: str, max_rows: int = 32, longest: int = 512, dtype: str = "auto", **changes: Any
    ):
        while living:
            living.pop().close()
        free_memory()
        spec = a_spec(name, **changes)
        living.append(VllmEngine(spec, Limits(max_rows, longest, float(ON_GPU)), dtype))
        return living[-1]

    yield make
    while living:
        living.pop().close()

"""How far vLLM's samples are said to be reproducible. vLLM itself is replaced by stand-ins."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from unittest.mock import MagicMock

import pytest

from raysweep.spec import BF16, WeightSpec

MODULES = (
    "vllm",
    "vllm.distributed",
    "vllm.platforms",
    "vllm.third_party",
    "vllm.utils.flashinfer",
    "vllm.v1.attention.backends.registry",
    "vllm.v1.attention.selector",
)
PACKAGE = "actors.vllm_engine"
OURS = ("attention", "checks", "gpu_memory", "loading")  # modules that import them


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module that loads vLLM, with stand-ins for what it imports of it."""
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, MagicMock())
    for name in OURS:
        monkeypatch.delitem(sys.modules, f"{PACKAGE}.{name}", raising=False)
    package = importlib.import_module(PACKAGE)
    for name in OURS:
        monkeypatch.delattr(package, name, raising=False)
    found = importlib.import_module(f"{PACKAGE}.loading")
    yield found
    for name in OURS:
        sys.modules.pop(f"{PACKAGE}.{name}", None)


@pytest.mark.parametrize(
    ("weights", "invariant", "on_cpu", "label"),
    [
        (BF16, True, False, "batch_invariant"),
        (BF16, False, False, "seeded"),
        (BF16, True, True, "seeded"),
        (WeightSpec("gptq", 4, 128), True, False, "seeded"),
        (WeightSpec("awq", 4, 128, symmetric=False), True, False, "seeded"),
        (WeightSpec("fp8", 8, 128), True, False, "seeded"),
    ],
)
def test_only_16_bit_weights_on_a_gpu_in_vllms_own_mode_are_independent_of_the_batch(
    loading: ModuleType, weights: WeightSpec, invariant: bool, on_cpu: bool, label: str
):
    loading.envs.VLLM_BATCH_INVARIANT = invariant
    loading.current_platform.is_cpu.return_value = on_cpu
    assert loading.reproducible(weights) == label

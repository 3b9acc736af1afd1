"""What an engine asks of its GPUs, for all that may be free on them; none of it needs a GPU."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.tiny_models import smallest
from with_vllm.engines import a_spec

from actors.vllm_engine import gpu_memory, loading
from actors.vllm_engine.loading import SMALLER, Limits, is_out_of_memory
from raysweep import memory
from raysweep.memory import CONTEXT_BYTES
from raysweep.planning.fit import shared
from raysweep.planning.lengths import Lengths
from raysweep.run_config import Gpu

GB = 10**9
SLICE = "MIG-4a1f"


def test_a_process_that_frees_memory_while_vllm_measures_is_a_lack_of_memory():
    said = (
        "Error in memory profiling. Initial free memory 10 GiB, current free memory 12 GiB. This happens "
        "when other processes sharing the same container release GPU memory"
    )
    assert is_out_of_memory(AssertionError(said))
    assert not is_out_of_memory(AssertionError("shapes differ"))


# Settings


def settings(monkeypatch: pytest.MonkeyPatch, limits: Limits, part: float = 1.0) -> dict[str, Any]:
    """vLLM's settings for a GPU of 24 GB, of which 20 are free."""
    monkeypatch.setattr(loading.current_platform, "is_cpu", lambda: False)
    monkeypatch.setattr(loading, "free_and_total", lambda ranks: (20 * GB, 24 * GB))
    args = loading.engine_args(a_spec(smallest()), limits, "", "auto", part)
    return vars(args)


def test_a_share_of_a_gpu_is_asked_for_as_the_bytes_of_its_cache(monkeypatch: pytest.MonkeyPatch):
    """Then vLLM measures nothing, so its neighbours cannot mislead it."""
    limits = Limits(max_rows=8, longest=512, gpus=0.4, mean=300)
    found = settings(monkeypatch, limits)
    assert found["kv_cache_memory_bytes"] == loading.planned_cache_bytes(a_spec(smallest()), limits)
    assert found["gpu_memory_utilization"] == loading.ANY_SHARE
    again = settings(monkeypatch, limits, SMALLER)
    assert again["kv_cache_memory_bytes"] < found["kv_cache_memory_bytes"]


@pytest.mark.parametrize("gpus", [1.0, 2.0])
def test_whole_gpus_are_asked_for_as_a_part_of_their_memory(
    gpus: float, monkeypatch: pytest.MonkeyPatch
):
    limits = Limits(max_rows=4096, longest=40_000, gpus=gpus)
    found = settings(monkeypatch, limits)
    assert found["kv_cache_memory_bytes"] is None
    assert found["gpu_memory_utilization"] == pytest.approx((20 * GB - CONTEXT_BYTES) / (24 * GB))
    again = settings(monkeypatch, limits, SMALLER)
    assert again["gpu_memory_utilization"] < found["gpu_memory_utilization"]


@pytest.mark.parametrize("longest", [60, 512, 4000])
def test_a_share_holds_exactly_the_cache_that_the_plan_has_counted(longest: int):
    """In whole blocks, which for short rows are much more than their tokens."""
    spec, lengths = a_spec(smallest()), Lengths(row=longest, prompt=50)
    lengths = lengths.within(spec.model.architecture)
    gpu = Gpu("any", 24 * GB, 1e12, 1e14)
    a = spec.model.architecture
    besides = memory.architecture_bytes(a, spec.weights)
    for rows in (1, 8, 64):
        fit = shared(spec, gpu, rows, lengths)
        assert fit is not None
        planned = fit.peak_bytes(rows) - besides - memory.workspace_bytes(a, rows)
        limits = Limits(rows, lengths.row, fit.gpus, lengths.mean)
        assert loading.planned_cache_bytes(spec, limits) == planned


def test_only_engines_that_share_a_gpu_load_in_turn(monkeypatch: pytest.MonkeyPatch):
    turns: list[str] = []
    monkeypatch.setattr(loading.loading_turn, "turn", turns.append)
    monkeypatch.setattr(
        type(loading.current_platform), "get_device_uuid", lambda self, rank=0: f"GPU-{rank}"
    )
    for gpus in (0.0, 1.0, 2.0, 0.4):
        loading._turn(Limits(1, gpus=gpus))
    assert turns == ["GPU-0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", SLICE)
    loading._turn(Limits(1, gpus=0.4))
    assert turns == ["GPU-0", SLICE]


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three GPUs of 24 GB, as the driver tells of them, the last of them full."""
    held = {
        f"GPU-{rank}": SimpleNamespace(free=free, total=24 * GB)
        for rank, free in enumerate([20 * GB, 12 * GB, 1])
    }
    held[SLICE] = SimpleNamespace(free=9 * GB, total=10 * GB)
    for name in ("nvmlInit", "nvmlShutdown"):
        monkeypatch.setattr(gpu_memory.pynvml, name, lambda: None)
    monkeypatch.setattr(gpu_memory.pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: uuid)
    monkeypatch.setattr(gpu_memory.pynvml, "nvmlDeviceGetMemoryInfo", held.__getitem__)
    platform = type(gpu_memory.current_platform)
    monkeypatch.setattr(platform, "get_device_uuid", lambda self, rank: f"GPU-{rank}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("three_gpus")
def test_memory_is_the_drivers_and_of_the_fullest_gpu():
    assert gpu_memory.free_and_total(1) == (20 * GB, 24 * GB)
    assert gpu_memory.free_and_total(2) == (12 * GB, 24 * GB)


@pytest.mark.usefixtures("three_gpus")
def test_a_slice_of_a_gpu_has_its_own_memory_and_not_the_whole_gpus(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", SLICE)
    assert gpu_memory.free_and_total(1) == (9 * GB, 10 * GB)


@pytest.mark.usefixtures("three_gpus")
@pytest.mark.parametrize("gpus", [0.4, 1.0, 2.0])
def test_no_cuda_context_is_made_beside_vllms_own(gpus: float, monkeypatch: pytest.MonkeyPatch):
    def initialised(*what: Any) -> None:
        raise AssertionError("CUDA was used")

    monkeypatch.setattr(torch.cuda, "_lazy_init", initialised)
    monkeypatch.setattr(loading.current_platform, "is_cpu", lambda: False)
    limits = Limits(8, 512, gpus, 300)
    assert loading.engine_args(a_spec(smallest()), limits, "", "auto", 1.0).gpu_memory_utilization

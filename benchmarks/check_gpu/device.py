"""The device that is checked: what it is, and how work on it is timed."""

import importlib.metadata
import subprocess
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from actors.torch_engine.graphs import Record, recorder_on_cuda
from benchmarks import subject
from benchmarks.check_gpu.setting import NO_GPU, NoGPUError, Setting, known_gpu
from raysweep.run_config import Gpu

COPIED = 2**30  # bytes: far more than any cache holds
CACHE = 2**28  # bytes that are overwritten before each timed run; caches of GPUs have up to 2**27
REPEATS = 21
PRODUCT = 8192  # rows and columns of the matrices by which FLOPs are measured


def device_of(setting: Setting) -> torch.device:
    return torch.device("cpu" if setting.dry else "cuda")


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


class _Again:
    """Work that is run again instead of replayed, in a dry run."""

    def __init__(self, work: Callable[[], Any]):
        self.replay = work


def recorder(device: torch.device) -> Record:
    """Records work on the device."""
    if device.type == "cuda":
        return recorder_on_cuda()

    return _Again


def seconds_of(work: Callable[[], Any], device: torch.device) -> float:
    """The median time of recorded work, each time with nothing of what it reads in the GPU's caches."""
    if device.type != "cuda":
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    work()  # compiles the kernels
    graph = recorder(device)(work)
    cache = torch.empty(CACHE, dtype=torch.uint8, device=device)
    times = []
    for _ in range(REPEATS):
        cache.zero_()
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        events[0].record()
        graph.replay()
        events[1].record()
        times.append(events)
    torch.cuda.synchronize()
    return median(began.elapsed_time(ended) for began, ended in times) / 1000


def copy_bytes_s(device: torch.device) -> float:
    """Bytes that a large copy on the device reads and writes per second."""
    size = COPIED if device.type == "cuda" else 2**20
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / seconds_of(lambda: target.copy_(source), device)


def flops_s(device: torch.device) -> float:
    """Operations per second of a large product in bf16."""
    a = torch.randn(PRODUCT, PRODUCT, device=device).bfloat16()
    return 2 * PRODUCT**3 / seconds_of(lambda: a @ a, device)


def reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        subject.reset_peak()


def peak_bytes(device: torch.device) -> int:
    """The most bytes that tensors have taken since `reset_peak`; in a dry run, the whole process."""
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else subject.peak_bytes()


def describe(dry: bool) -> tuple[Setting, dict[str, str]]:
    """The setting of this machine, and its names and versions.

    Raises NoGPUError if torch sees none.
    """
    device = torch.device("cpu" if dry else "cuda")
    if not dry and not torch.cuda.is_available():
        build = "sees no GPU" if torch.version.cuda else "is its CPU build"
        raise NoGPUError(f"torch {torch.__version__} in this environment {build}")
    copied = copy_bytes_s(device)
    gpu = NO_GPU if dry else _gpu(copied)
    packages = {name: _version(name) for name in ("torch", "triton", "vllm", "transformers")}
    named = {"GPU": "none" if dry else torch.cuda.get_device_name(), "driver": _driver(dry)}
    return Setting(dry, gpu, copied), {**named, **packages}


def _gpu(copied: float) -> Gpu:
    name, memory = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory
    return known_gpu(name, memory) or Gpu(name, memory, copied, flops_s(torch.device("cuda")))


def _driver(dry: bool) -> str:
    if dry:
        return "none"
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[0]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"

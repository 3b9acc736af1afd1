"""Whole steps by kernels, interpreted on a CPU, against the steps of the CPU's engine."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny_models import MODELS, architecture, decoding, requests, run, smallest
from support.torch_engines import POLICIES, QUESTIONS, make_engine

from actors import kernels
from actors.kv.full import Full
from actors.kv.r_kv import RKV
from actors.kv_cache import step
from actors.kv_cache.cache import KVCache
from actors.kv_cache.prompt import start_row
from actors.torch_engine.batch import Batch
from actors.torch_engine.gpu_step import GpuStep
from actors.torch_engine.model import load_decoder
from raysweep.spec import Sampling

CPU = torch.device("cpu")
PROMPTS = (
    (3, 4, 5),
    tuple(range(3, 50)),
    tuple(range(5, 36)),
)  # ragged; some rows are compacted soon
STEPS = 2


def stepped(
    policy: Any, on_kernels: bool, name: str = "tiny-60k"
) -> tuple[list[torch.Tensor], KVCache]:
    """Logits of some steps of three rows in 32 bit, and the cache behind them."""
    decoder = load_decoder(str(MODELS / name), torch.float32, CPU, torch.float32)
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


def test_an_engine_by_kernels_whose_host_is_one_step_late_gives_the_same_traces(monkeypatch):
    """With a fork at a budget, a row that waits, and compactions; in 32 bit, where little is rounded."""
    way = replace(decoding(temperature=0, token_budgets=(6, 9)), answer_tokens=2)
    policy = RKV(budget=16, window=4, buffer=8)

    def traces(lag: int) -> list[tuple]:
        engine = make_engine(smallest(), policy, 2, torch.float32, torch.float32)
        assert engine.lag == lag
        assert engine.reproducible == "seeded" or lag == 0
        found = run(engine, requests(QUESTIONS[:2], way)).values()
        return [(trace.token_ids, trace.answers, trace.finish) for trace in found]

    expected = traces(0)
    monkeypatch.setattr(kernels, "DEVICES", {"cpu"})
    assert traces(1) == expected


def test_packed_weights_give_the_same_steps(monkeypatch):
    name = "quantized/tiny-60k-gptq4-g32"
    expected, _ = stepped(Full(), False, name)
    monkeypatch.setattr(kernels, "DEVICES", {"cpu"})
    found, _ = stepped(Full(), True, name)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=2e-4 * float(theirs.abs().max()))


def test_prompts_that_are_computed_together_are_what_each_is_alone(monkeypatch):
    decoder = load_decoder(str(MODELS / smallest()), torch.float32, CPU, torch.float32)
    alone = [decoder.prefill(tokens, keep_queries=True) for tokens in PROMPTS]
    monkeypatch.setattr(kernels, "DEVICES", {"cpu"})
    gpu = load_decoder(str(MODELS / smallest()), torch.float32, CPU)
    together = gpu.prefill_some(PROMPTS, keep_queries=True)
    assert len(together) == len(PROMPTS)
    for (kv, logits), (own, expected) in zip(together, alone, strict=True):
        assert torch.allclose(logits, expected, atol=1e-4)
        for one, other in ((kv.keys, own.keys), (kv.values, own.values), (kv.queries, own.queries)):
            assert one is not None and other is not None
            assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)
def test_steps_by_kernels_are_the_steps_without(policy, monkeypatch):
    expected, cache = stepped(policy, on_kernels=False)
    monkeypatch.setattr(kernels, "DEVICES", {"cpu"})
    found, other = stepped(policy, on_kernels=True)
    assert other.extents == cache.extents
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=2e-4 * float(theirs.abs().max())), policy.slug

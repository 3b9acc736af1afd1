"""Random rows to drive a KV cache with, and strategies for policies of every kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from hypothesis import strategies as st

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.snap_kv import SnapKV
from actors.kv.streaming_llm import StreamingLLM
from actors.kv_cache import step
from actors.kv_cache.cache import KVCache
from actors.kv_cache.prompt import PromptKV, start_row
from raysweep.kv_policy import KVPolicy
from raysweep.spec import Architecture

CPU = torch.device("cpu")
MOST = 96  # tokens of a row


def an_architecture(kv_heads: int = 2, group: int = 2, head_dim: int = 8) -> Architecture:
    return Architecture(8, 2, kv_heads * group, kv_heads, head_dim, 8, 16, True, 512)


ARCHITECTURES = st.builds(
    an_architecture, st.integers(1, 3), st.integers(1, 3), st.sampled_from([8, 16, 32])
)


@st.composite
def evicting(draw: st.DrawFn, least: int = 4) -> Any:
    """r_kv, snap_kv, h2o or streaming_llm with a budget of `least` tokens or more."""
    kind: Any = draw(st.sampled_from([RKV, SnapKV, H2O, StreamingLLM]))
    budget = draw(st.integers(least, least + 20))
    if kind is StreamingLLM:
        sinks = draw(st.integers(1, 3))
        return StreamingLLM(sinks, budget - sinks)
    shared: dict[str, Any] = {"window": draw(st.integers(1, 3))}
    shared["buffer"] = draw(st.integers(1, 12))
    if kind is not H2O:
        shared["kernel"] = draw(st.sampled_from([1, 3, 7]))
    if kind is RKV:
        shared["importance_weight"] = draw(st.sampled_from([0.1, 0.07]))
    return kind(budget=budget, **shared)


LAYOUTS: list[Any] = [("hqq", 0), ("hqq", 1), ("kivi", 0), ("symmetric", 0), ("symmetric", 1)]


@st.composite
def quantized(draw: st.DrawFn) -> Quantized:
    bits, group_size = draw(st.sampled_from([8, 4, 2])), draw(st.sampled_from([8, 16]))
    residual, sinks = draw(st.integers(3, 20)), draw(st.sampled_from([0, 0, 1, 4, 9]))
    if draw(st.booleans()):
        layout: Any = draw(st.sampled_from(["hqq", "symmetric"]))
        evict = draw(evicting(least=residual + sinks + 5))
        return Quantized(bits, group_size, residual, layout, 1, sinks, evict)
    layout, axis = draw(st.sampled_from(LAYOUTS))
    return Quantized(bits, group_size, residual, layout, axis, sinks)


POLICIES = st.one_of(st.just(Full()), evicting(), quantized())

EXAMPLES = (  # one of each kind, small enough to be compacted often
    Full(),
    StreamingLLM(2, 11),
    RKV(budget=12, window=2, buffer=5, kernel=3),
    RKV(budget=12, window=2, buffer=5, kernel=3, importance_weight=0.07),
    SnapKV(budget=12, window=3, buffer=4, kernel=3),
    H2O(budget=12, window=4, buffer=3),
    Quantized(8, 8, 10),
    Quantized(4, 8, 10, axis=1, sinks=3),
    Quantized(4, 8, 10, "kivi", sinks=2),
    Quantized(2, 8, 9, "symmetric"),
    Quantized(4, 8, 8, axis=1, evict=RKV(budget=24, window=2, buffer=9, kernel=3)),
    Quantized(8, 8, 8, "symmetric", 1, 3, H2O(budget=20, window=2, buffer=8)),
    Quantized(4, 8, 8, axis=1, sinks=4, evict=StreamingLLM(2, 20)),
)


@dataclass(frozen=True)
class Stream:
    """An endless sequence's numbers, drawn from its seed: what it is fed does not depend on a batch."""

    seed: int
    architecture: Architecture

    @cached_property
    def numbers(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """q [layers, tokens, heads, head_dim], k and v [layers, tokens, kv_heads, head_dim]."""
        a, generator = self.architecture, torch.Generator().manual_seed(self.seed)
        return (
            torch.randn(a.layers, MOST, a.heads, a.head_dim, generator=generator),
            torch.randn(a.layers, MOST, a.kv_heads, a.head_dim, generator=generator),
            torch.randn(a.layers, MOST, a.kv_heads, a.head_dim, generator=generator),
        )

    def prompt(self, tokens: int, storage: torch.dtype) -> PromptKV:
        q, k, v = (numbers[:, :tokens].transpose(1, 2).to(storage) for numbers in self.numbers)
        return PromptKV(k, v, q.unflatten(1, (self.architecture.kv_heads, -1)))


def a_cache(
    policy: KVPolicy,
    architecture: Architecture,
    rows: int = 4,
    storage: torch.dtype = torch.float32,
) -> KVCache:
    cache = KVCache(architecture, policy, rows, storage, CPU)
    cache.reserve(MOST)
    return cache


def begin(cache: KVCache, row: int, stream: Stream, tokens: int) -> None:
    start_row(cache, row, stream.prompt(tokens, cache.storage))


def feed(cache: KVCache, streams: Sequence[Stream]) -> list[torch.Tensor]:
    """One step: row i is fed the token of streams[i] at its position; each row's [layers, width]."""
    positions = [cache.extents[row].seen for row in range(len(streams))]
    now = step.begin(cache, len(streams))
    layers = []
    for layer in range(cache.architecture.layers):
        q, k, v = (
            torch.stack(
                [s.numbers[kind][layer, p] for s, p in zip(streams, positions, strict=True)]
            )
            for kind in range(3)
        )
        layers.append(step.attend(cache, now, layer, q, k, v))
    step.end(cache, range(len(streams)))
    return list(torch.stack(layers, 1))

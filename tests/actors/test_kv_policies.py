"""Each policy against a slow, obvious twin written from its paper: what it keeps, what it attends to."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import hqq_library, kv_policy_twins
from support.kv_streams import (
    LAYOUTS,
    MOST,
    Stream,
    a_cache,
    an_architecture,
    begin,
    evicting,
    feed,
)

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.snap_kv import SnapKV
from actors.kv.streaming_llm import StreamingLLM
from actors.kv_cache.cache import KVCache
from actors.kv_cache.compaction import view
from actors.kv_cache.parts import whole_row

LAYER = 1  # every layer has numbers of its own; this one is compared


def twin(policy: Any, stream: Stream, tokens: int) -> list[list[list[int]]]:
    """For each token, for each KV head, the positions that the policy's paper keeps."""
    keys, queries = numbers_of(stream, tokens)
    if isinstance(policy, StreamingLLM):
        heads = keys.shape[0]
        kept = kv_policy_twins.kept_by_streaming_llm(
            tokens, sinks=policy.sinks, window=policy.window
        )
        return [[positions] * heads for positions in kept]
    shared = {"budget": policy.budget, "window": policy.window, "buffer": policy.buffer}
    if isinstance(policy, H2O):
        return kv_policy_twins.kept_by_h2o(keys, queries, **shared)
    if isinstance(policy, RKV):
        weight = policy.importance_weight
        return kv_policy_twins.kept_by_r_kv(
            keys, queries, **shared, kernel=policy.kernel, importance_weight=weight
        )
    return kv_policy_twins.kept_by_snap_kv(keys, queries, **shared, kernel=policy.kernel)


def numbers_of(stream: Stream, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """keys [kv_heads, tokens, head_dim] and queries [kv_heads, group, tokens, head_dim] of LAYER."""
    prompt = stream.prompt(tokens, torch.float64)
    assert prompt.queries is not None
    return prompt.keys[LAYER].numpy(), prompt.queries[LAYER].numpy()


def kept(cache: KVCache, stream: Stream, row: int = 0) -> list[list[int]]:
    """The positions whose keys a row holds in native slots, for each KV head."""
    held = cache.native["keys"][LAYER, row, :, : cache.extents[row].native, 0]
    position_of = [
        {value: position for position, value in enumerate(head)}
        for head in stream.prompt(MOST, torch.float32).keys[LAYER, :, :, 0].tolist()
    ]
    return [
        sorted(position_of[head][value] for value in values)
        for head, values in enumerate(held.tolist())
    ]


def steps(cache: KVCache, stream: Stream, prompt: int, until: int) -> Iterator[torch.Tensor]:
    """Begin row 0 and feed it; LAYER's output after each token."""
    begin(cache, 0, stream, prompt)
    for _ in range(prompt, until):
        yield feed(cache, [stream])[0][LAYER]


@settings(max_examples=60, deadline=None)
@given(evicting(), st.integers(0, 1000), st.integers(1, 3), st.integers(1, 3), st.integers(1, 40))
def test_the_same_positions_are_kept_after_the_prompt_and_every_token(
    policy, seed, kv_heads, group, prompt
):
    stream = Stream(seed, an_architecture(kv_heads, group, 16))
    expected = twin(policy, stream, 64)
    cache = a_cache(policy, stream.architecture, rows=1)
    begin(cache, 0, stream, prompt)
    assert kept(cache, stream) == expected[prompt - 1]
    for tokens in range(prompt + 1, 65):
        feed(cache, [stream])
        assert kept(cache, stream) == expected[tokens - 1], tokens


@pytest.mark.parametrize(
    "policy",
    [
        Full(),
        StreamingLLM(2, 9),
        RKV(budget=12, window=2, buffer=6),
        SnapKV(budget=12, window=2, buffer=6),
        H2O(budget=12, window=4, buffer=1),
    ],
    ids=lambda policy: policy.slug,
)
def test_a_token_attends_to_what_is_kept_and_itself(policy):
    stream = Stream(5, an_architecture(2, 3, 16))
    keys, queries = numbers_of(stream, 64)
    values = stream.prompt(64, torch.float64).values[LAYER].numpy()
    if isinstance(policy, Full):
        held = [[list(range(tokens + 1))] * 2 for tokens in range(64)]
    else:
        held = twin(policy, stream, 64)
    cache = a_cache(policy, stream.architecture, rows=1)
    for token, output in enumerate(steps(cache, stream, 1, 64), start=1):
        for head, heads in enumerate(output.view(2, 3, 16).numpy()):
            seen = [*held[token - 1][head], token]
            if isinstance(policy, StreamingLLM):  # the ring has let go of the oldest one already
                seen = held[token][head]
            expected = kv_policy_twins.attention(
                queries[head, :, token], keys[head, seen], values[head, seen]
            )
            assert np.allclose(heads, expected, atol=1e-5), (token, head)


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize(("layout", "axis"), LAYOUTS)
@pytest.mark.parametrize("sinks", [0, 3])
def test_packed_tokens_are_attended_to_as_their_rounded_selves(layout, axis, sinks, bits):
    policy = Quantized(bits, 8, 10, layout, axis, sinks)
    stream = Stream(6, an_architecture(2, 2, 16))
    keys, queries = numbers_of(stream, 64)
    values = stream.prompt(64, torch.float64).values[LAYER].numpy()
    cache = a_cache(policy, stream.architecture, rows=1)
    for token, output in enumerate(steps(cache, stream, 20, 64), start=20):
        packed = policy.held(token).packed
        for head, heads in enumerate(output.view(2, 2, 16).numpy()):
            key_axis, value_axis = policy.packing.key_axis, policy.packing.value_axis
            k = rounded(keys[head, : token + 1], packed, policy, key_axis)
            v = rounded(values[head, : token + 1], packed, policy, value_axis)
            expected = kv_policy_twins.attention(queries[head, :, token], k, v)
            assert np.allclose(heads, expected, atol=1e-4), (token, head)


def rounded(numbers: np.ndarray, packed: int, policy: Quantized, axis: str) -> np.ndarray:
    """[tokens, head_dim] with `packed` tokens behind the sinks rounded, block by block."""
    result, size = numbers.copy(), policy.group_size
    for first in range(policy.sinks, policy.sinks + packed, size):
        block = np.s_[first : first + size]
        result[block] = rounded_block(numbers[block], policy, axis)
    return result


def rounded_block(block: np.ndarray, policy: Quantized, axis: str) -> np.ndarray:
    """[tokens, head_dim], by the library hqq or group by group."""
    if policy.layout == "hqq":
        numbers = torch.from_numpy(block).float()
        library_axis = 0 if axis == "channel" else 1
        oracle = hqq_library.quantised(numbers, policy.bits, library_axis, policy.group_size)
        return oracle.rounded.numpy()
    one = (
        kv_policy_twins.rounded_asymmetric
        if policy.layout == "kivi"
        else kv_policy_twins.rounded_symmetric
    )
    if axis == "channel":
        return np.stack([one(channel, policy.bits) for channel in block.T], 1)
    groups = block.reshape(-1, policy.group_size)
    return np.stack([one(group, policy.bits) for group in groups]).reshape(block.shape)


def test_evicted_and_packed_tokens_are_packed_once_and_move_as_they_are():
    policy = Quantized(4, 8, 10, axis=1, evict=RKV(budget=26, window=2, buffer=8, kernel=3))
    stream = Stream(7, an_architecture(2, 2, 16))
    keys = stream.prompt(MOST, torch.float64).keys[LAYER].numpy()
    once = [rounded(head, MOST, policy, "token") for head in keys]
    cache = a_cache(policy, stream.architecture, rows=1)
    for _ in steps(cache, stream, 5, MOST):
        pass
    packed = cache.extents[0].packed
    assert 0 < packed <= policy.packed_budget + policy.evict.buffer
    for head, held in enumerate(view(cache, whole_row(0)).keys[LAYER, :, :packed].numpy()):
        distances = np.abs(held[:, None] - once[head][None]).max(-1)  # [packed, tokens]
        assert (distances.min(1) < 1e-3).all()
        assert len(set(distances.argmin(1).tolist())) == packed


EVICTED_AND_PACKED = [
    Quantized(4, 8, 10, "hqq", 1, 0, RKV(budget=26, window=2, buffer=8, kernel=1)),
    Quantized(
        *(8, 8, 8, "symmetric", 1, 0),
        RKV(budget=24, window=3, buffer=12, kernel=1, importance_weight=0.07),
    ),
    Quantized(2, 8, 10, "symmetric", 1, 3, SnapKV(budget=30, window=4, buffer=8, kernel=1)),
    Quantized(4, 8, 10, "hqq", 1, 4, H2O(budget=26, window=8, buffer=8)),
    Quantized(4, 8, 10, "symmetric", 1, 0, StreamingLLM(2, 24)),
    Quantized(4, 8, 10, "hqq", 1, 1, StreamingLLM(2, 24)),
]


@pytest.mark.parametrize("policy", EVICTED_AND_PACKED, ids=lambda policy: policy.slug)
def test_eviction_from_a_quantised_store_keeps_the_best_of_the_packed_tokens(policy):
    stream = Stream(8, an_architecture(2, 2, 16))
    cache = a_cache(policy, stream.architecture, rows=1)
    begin(cache, 0, stream, 1)
    twins = [
        PackedTwin(policy, *(numbers[head] for numbers in numbers_of(stream, MOST)))
        for head in (0, 1)
    ]
    for position in range(MOST):
        for twin_ in twins:
            twin_.append(position)
        if position:
            feed(cache, [stream])
        packed = (
            view(cache, whole_row(0))
            .keys[LAYER, :, policy.sinks :][:, : cache.extents[0].packed]
            .numpy()
        )
        for twin_, held in zip(twins, packed, strict=True):
            assert len(twin_.packed) == len(held), position
            if len(held):
                assert np.allclose(held, twin_.rounded[twin_.packed], atol=1e-3), position


class PackedTwin:
    """One KV head, token by token: blocks leave the residual, and the worst packed tokens are dropped.

    The sinks are the first of the native tokens.
    """

    def __init__(self, policy: Quantized, keys: np.ndarray, queries: np.ndarray):
        self.policy, self.keys, self.queries = policy, keys, queries
        self.rounded = rounded(keys, len(keys), policy, "token")
        self.packed: list[int] = []
        self.native: list[int] = []
        self.drawn = np.zeros(len(keys))

    def seen_as(self) -> np.ndarray:
        """All keys as they are stored now."""
        stored = self.keys.copy()
        stored[self.packed] = self.rounded[self.packed]
        return stored

    def append(self, position: int) -> None:
        self.native.append(position)
        held, stored, sinks = self.held(), self.seen_as(), self.policy.sinks
        for query in self.queries[:, position]:
            self.drawn[held] += kv_policy_twins.attention_weights(query, stored[held])
        if len(self.native) == sinks + self.policy.residual + self.policy.group_size:
            end = sinks + self.policy.group_size
            self.packed += self.native[sinks:end]
            self.native = [*self.native[:sinks], *self.native[end:]]
            budget = self.policy.evict.budget - sinks - self.policy.residual
            if len(self.packed) >= budget + self.policy.evict.buffer:
                scores = self.scores(position)
                ranked = sorted(range(len(self.packed)), key=lambda place: -scores[place])
                self.packed = [self.packed[place] for place in sorted(ranked[:budget])]

    def held(self) -> list[int]:
        """All positions, oldest first."""
        return sorted([*self.packed, *self.native])

    def scores(self, position: int) -> list[float]:
        """Of the packed tokens."""
        evict, held, sinks = self.policy.evict, self.held(), self.policy.sinks
        stored = self.seen_as()
        if isinstance(evict, StreamingLLM):
            oldest = held[: evict.sinks]
            return [float(MOST if place in oldest else place) for place in self.packed]
        if isinstance(evict, H2O):
            return self.drawn[self.packed].tolist()
        queries = self.queries[:, : position + 1]
        importance = kv_policy_twins.importance(
            stored, queries, held, window=evict.window, kernel=evict.kernel
        )
        if not isinstance(evict, RKV):
            return importance[sinks:]
        weight, redundancies = evict.importance_weight, kv_policy_twins.redundancy(stored[held])
        return [
            weight * important - (1 - weight) * redundant
            for important, redundant in zip(importance, redundancies, strict=False)
        ][sinks:]


def test_each_row_of_a_batch_is_scored_from_its_own_tokens():
    """The published code takes the redundancy of the batch's first row for every row."""
    policy = RKV(budget=12, window=2, buffer=6, importance_weight=0.07)
    streams = [Stream(seed, an_architecture(2, 2, 16)) for seed in (11, 12, 13)]
    cache = a_cache(policy, streams[0].architecture, rows=3)
    for row, stream in enumerate(streams):
        begin(cache, row, stream, 4)
    for _ in range(30):
        feed(cache, streams)
    for row, stream in enumerate(streams):
        assert kept(cache, stream, row) == twin(policy, stream, 34)[-1]

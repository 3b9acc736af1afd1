"""`decode_attention`: a step's attention over all that rows hold, as the cache's torch code computes it."""

from copy import deepcopy

import pytest
import torch
from support.attention_cases import assert_close, normal
from support.interpreted import counted
from support.kv_streams import EXAMPLES, Stream, a_cache, an_architecture, begin
from support.packed_lanes import random_lanes

from actors.kernels import launching
from actors.kernels.append import append
from actors.kernels.decode_attention import AttentionScratch, AttentionShape, decode_attention
from actors.kernels.native_attention import native_splits
from actors.kernels.packed_attention import packed_splits
from actors.kv_cache import step
from actors.kv_cache.cache import KVCache
from raysweep import catalogue
from raysweep.kv_policy import KVPolicy
from raysweep.memory import NATIVE_BYTES, held_bytes
from raysweep.planning.traffic import attention_bytes
from raysweep.spec import Architecture

CPU = torch.device("cpu")
PROMPTS = (1, 37, 60, 23)


def shape_of(cache: KVCache) -> AttentionShape:
    a = cache.architecture
    return AttentionShape(
        *(cache.rows, a.kv_heads, a.heads // a.kv_heads, a.head_dim, cache.native.capacity),
        0 if cache.packed is None else cache.packed.capacity,
        cache.policy.packing,
        cache.policy.scores_attention,
    )


def kernels_step(
    cache: KVCache, numbers: list[tuple[torch.Tensor, ...]], still: int | None = None
) -> torch.Tensor:
    """One step by kernels, [n, layers, width]; numbers: each layer's q, k and v, [n, heads, head_dim]."""
    n = len(numbers[0][0])
    extents = cache.extents[:n]
    slots = torch.tensor([cache.slot(extent) for extent in extents]).int()
    observed = max(1, cache.policy.observed_queries)
    query_slots = torch.tensor([extent.seen % observed for extent in extents]).int()
    native = [max(extent.native, slot + 1) for extent, slot in zip(extents, slots, strict=True)]
    lengths = torch.tensor(native).int()
    packed_lengths = torch.tensor([extent.packed for extent in extents]).int()
    if still is not None:
        slots[still] = -1
    scratch = AttentionScratch.of(shape_of(cache), CPU)
    unrotated = (
        torch.ones(n, cache.architecture.head_dim),
        torch.zeros(n, cache.architecture.head_dim),
    )
    layers = []
    for layer, (q, k, v) in enumerate(numbers):
        own = {name: lane.tensor[layer] for name, lane in cache.native.lanes.items()}
        q = append(
            *(torch.cat([q, k, v], 1).flatten(1), None, None, 0.0, *unrotated, slots, query_slots),
            *(own["keys"], own["values"], cache.queries[layer], own.get("attention")),
        )
        packed = (None, None)
        if cache.packed is not None:
            packed_own = {name: lane.tensor[layer] for name, lane in cache.packed.lanes.items()}
            packed = (packed_own, packed_lengths)
        layers.append(decode_attention(q, slots, own, lengths, scratch, *packed))
    return torch.stack(layers, 1)


def lanes_of(cache: KVCache) -> list[torch.Tensor]:
    stores = [slots for slots in (cache.native, cache.packed) if slots is not None]
    return [lane.tensor for slots in stores for lane in slots.lanes.values()]


def rows_of(policy: KVPolicy) -> tuple[KVCache, list[Stream]]:
    a = an_architecture(1, 4, 16)
    streams = [Stream(seed, a) for seed in range(len(PROMPTS))]
    cache = a_cache(policy, a)
    for row, tokens in enumerate(PROMPTS):
        begin(cache, row, streams[row], tokens)
    return cache, streams


def next_numbers(cache: KVCache, streams: list[Stream]) -> list[tuple[torch.Tensor, ...]]:
    positions = [extent.seen for extent in cache.extents]
    return [
        tuple(
            torch.stack(
                [s.numbers[kind][layer, p] for s, p in zip(streams, positions, strict=True)]
            )
            for kind in range(3)
        )
        for layer in range(cache.architecture.layers)
    ]


# 13 policies x 2 steps x 4 rows x 2 layers x 4 query heads: 832 cases.
@pytest.mark.parametrize("policy", EXAMPLES, ids=lambda policy: policy.slug)
def test_a_step_is_that_of_the_cache(policy: KVPolicy):
    cache, streams = rows_of(policy)
    for _ in range(2):
        before = deepcopy(cache)
        numbers = next_numbers(cache, streams)
        now = step.begin(cache, len(streams))
        expected = [step.attend(cache, now, layer, *each) for layer, each in enumerate(numbers)]
        assert_close(kernels_step(before, numbers), torch.stack(expected, 1), 1e-5)
        assert torch.equal(before.queries, cache.queries)
        for mine, theirs in zip(lanes_of(before), lanes_of(cache), strict=True):
            assert_close(mine, theirs, 1e-5)
        step.end(cache, range(len(streams)))


@pytest.mark.parametrize("policy", [each for each in EXAMPLES if each.scores_attention], ids=str)
def test_a_row_that_stands_still_keeps_what_it_holds(policy: KVPolicy):
    cache, streams = rows_of(policy)
    moving, standing = deepcopy(cache), deepcopy(cache)
    numbers = next_numbers(cache, streams)
    everything = kernels_step(moving, numbers)
    others = kernels_step(standing, numbers, still=1)
    assert torch.equal(everything[[0, 2, 3]], others[[0, 2, 3]]) and others.isfinite().all()
    for now, then in zip(standing.held(1), cache.held(1), strict=True):
        assert torch.equal(now, then)
    for now, then in zip(standing.held(2), moving.held(2), strict=True):
        assert torch.equal(now, then)


def test_scratch_takes_the_bytes_that_its_shape_says():
    for policy in EXAMPLES:
        shape = shape_of(rows_of(policy)[0])
        scratch = AttentionScratch.of(shape, CPU)
        tensors = (scratch.results, scratch.lse, scratch.logits, scratch.row_lse)
        assert shape.nbytes == sum(tensor.nbytes for tensor in tensors if tensor is not None)


def test_a_step_that_cannot_run_still_has_its_launches(monkeypatch: pytest.MonkeyPatch):
    launched = []
    monkeypatch.setattr(
        launching, "launch", lambda kernel, *_, **__: launched.append(kernel.__name__)
    )
    cache, streams = rows_of(EXAMPLES[-2])
    kernels_step(cache, next_numbers(cache, streams)[:1])
    assert [name.strip("_") for name in launched] == [
        *("append", "native_attention", "packed_attention", "join_attention", "received_attention"),
    ]


def test_tensors_of_the_meta_device_will_do():
    shape = AttentionShape(2, 2, 4, 16, 64)
    q, lengths = torch.empty(2, 8, 16, device="meta"), torch.empty(2, device="meta").int()
    lanes = {name: torch.empty(2, 2, 64, 16, device="meta") for name in ("keys", "values")}
    scratch = AttentionScratch.of(shape, torch.device("meta"))
    assert decode_attention(q, lengths, lanes, lengths, scratch).shape == (2, 128)


# ---- traffic ----


def moved_bytes(a: Architecture, policy: KVPolicy, tokens: int) -> int:
    """Bytes that a row's attention moves in all layers of a step: those held, queries and partial results.

    Programs beyond a row's tokens read 4 bytes each, which are left out, as are the row's lengths.
    """
    held = policy.held(tokens)
    splits = native_splits(held.native)
    if policy.packing is not None:
        splits += packed_splits(policy.packing, held.packed)
    partial = splits * (a.head_dim * NATIVE_BYTES + 2 * (a.head_dim + 1) * 4)
    result = a.head_dim * NATIVE_BYTES
    sums = 0
    if policy.scores_attention:  # logits are written and read, and so are sums
        per_token = 2 * (a.heads + a.kv_heads) * 4
        sums = a.layers * (held.tokens * per_token + a.heads * 8)
    kept = held_bytes(a, policy, held, tokens)
    return kept + a.layers * a.heads * (partial + result) + sums


POLICIES = (
    *("full", "streaming_llm-2048", "r_kv-4096", "r_kv-4096_quantized-4"),
    *("quantized-8", "quantized-4", "quantized-2", "kivi-4", "kivi-2", "symmetric-2"),
)


@pytest.mark.parametrize("name", POLICIES)
def test_attention_moves_what_rows_hold_and_little_more(name: str):
    policy = catalogue.kv_policy(name)
    qwen = catalogue.model("qwen3-8b").architecture
    rows, tokens = 16, 15_000
    held = rows * held_bytes(qwen, policy, policy.held(tokens), tokens)
    moved = moved_bytes(qwen, policy, tokens)
    assert rows * moved <= 1.1 * held
    planned = attention_bytes(qwen, policy, policy.held(tokens))
    assert planned == pytest.approx(moved, rel=0.02)


@pytest.mark.parametrize("name", ["full", "quantized-8", "kivi-4", "quantized-2"])
def test_traffic_is_as_stated(name: str):
    policy, tokens, head_dim = catalogue.kv_policy(name), 2400, 128
    a = Architecture(0, 1, 4, 1, head_dim, 0, 0, True, 0)
    held, packing = policy.held(tokens), policy.packing
    capacity = -(-held.native // 32) * 32
    q = normal(1, 1, 4, head_dim).bfloat16()
    lanes = {each: torch.zeros(1, 1, capacity, head_dim).bfloat16() for each in ("keys", "values")}
    packed, packed_lengths, packed_capacity = None, None, 0
    if packing is not None:
        packed = random_lanes(packing, 1, 1, held.packed, head_dim, seed=1)
        packed_lengths = torch.tensor([held.packed]).int()
        packed_capacity = packed["key_codes"].shape[2]
    shape = AttentionShape(1, 1, 4, head_dim, capacity, packed_capacity, packing)
    scratch, lengths = AttentionScratch.of(shape, CPU), torch.tensor([held.native]).int()
    with counted() as traffic:
        decode_attention(q, lengths, lanes, lengths, scratch, packed, packed_lengths)
    lengths_read = 4 * (shape.splits + a.heads * (1 if packing is None else 2))
    assert traffic.moved == moved_bytes(a, policy, tokens) + lengths_read
    assert traffic.moved <= 1.15 * held_bytes(a, policy, held, tokens)

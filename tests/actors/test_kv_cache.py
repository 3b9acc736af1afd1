"""The KV cache: bytes that are true, and rows that are each as if alone, under every policy."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kv_streams import (
    ARCHITECTURES,
    EXAMPLES,
    MOST,
    POLICIES,
    Stream,
    a_cache,
    an_architecture,
    begin,
    feed,
)

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.streaming_llm import StreamingLLM
from actors.kv_cache import step as step_module
from actors.kv_cache.cache import KVCache
from actors.kv_cache.rollback import restore, save
from raysweep.kv_policy import Held, KVPolicy, kind_of, load_method, method_of
from raysweep.memory import SLOT_BLOCK, held_bytes, kv_bytes, kv_peak_bytes, packed_block, round_up

BY_SLUG = {"argvalues": EXAMPLES, "ids": lambda policy: policy.slug}


@settings(max_examples=500, deadline=None)
@given(POLICIES, ARCHITECTURES, st.integers(1, 60), st.integers(0, 30))
def test_a_row_holds_the_bytes_of_the_memory_model_after_prompt_and_every_step(
    policy, architecture, prompt_tokens, steps
):
    stream = Stream(0, architecture)
    cache = a_cache(policy, architecture, rows=1, storage=torch.bfloat16)
    begin(cache, 0, stream, prompt_tokens)
    assert cache.row_bytes(0) == kv_bytes(architecture, policy, prompt_tokens)
    for tokens in range(prompt_tokens + 1, prompt_tokens + steps + 1):
        feed(cache, [stream])
        assert cache.row_bytes(0) == kv_bytes(architecture, policy, tokens)


@settings(max_examples=100, deadline=None)
@given(POLICIES, ARCHITECTURES)
def test_a_rows_peak_is_what_is_reserved_for_it_and_is_never_exceeded(policy, architecture):
    stream, seen = Stream(0, architecture), []
    cache = a_cache(policy, architecture, rows=2, storage=torch.bfloat16)
    with pytest.MonkeyPatch.context() as patch:
        compact = step_module.compact

        def watched(cache, rows):
            seen.extend(map(cache.row_bytes, rows))  # at their fullest
            compact(cache, rows)

        patch.setattr(step_module, "compact", watched)
        begin(cache, 0, stream, 1)
        for _ in range(MOST - 1):
            feed(cache, [stream])
            seen.append(cache.row_bytes(0))
    peak = kv_peak_bytes(architecture, policy, MOST)
    assert max(seen) <= peak
    if policy.packing is None:
        assert max(seen) == peak
    reserved = policy.reserved(MOST)
    packed = round_up(reserved.packed, packed_block(policy))
    rounded = Held(round_up(reserved.native, SLOT_BLOCK), packed)
    stores = [cache.native, *([cache.packed] if cache.packed else [])]
    tensors = [lane.tensor for slots in stores for lane in slots.lanes.values()]
    storage = sum(t.untyped_storage().nbytes() for t in [*tensors, cache.queries])
    assert storage == 2 * held_bytes(architecture, policy, rounded, MOST)


@pytest.mark.parametrize("policy", **BY_SLUG)
def test_a_row_among_others_with_forks_and_moves_is_exactly_the_row_alone(policy):
    architecture = an_architecture()
    streams = [Stream(seed, architecture) for seed in range(4)]
    prompts = (5, 23, 1, 40)
    alone = [alone_outputs(policy, stream, n) for stream, n in zip(streams, prompts, strict=True)]
    cache = a_cache(policy, architecture)
    counts = [0, 0, 0, 0]  # steps taken by each stream

    def join(row: int, index: int) -> None:
        begin(cache, row, streams[index], prompts[index])

    def step(times: int, *order: int) -> None:
        """Feed the stream order[row] to each row; -1 is a fork, whose tokens are none of a stream's."""
        for _ in range(times):
            fed = [streams[index] if index >= 0 else Stream(9, architecture) for index in order]
            for index, output in zip(order, feed(cache, fed), strict=True):
                if index >= 0:
                    assert torch.equal(output, alone[index][counts[index]]), (index, counts)
                    counts[index] += 1

    for row in (0, 1, 2):
        join(row, row)
    step(9, 0, 1, 2)
    saved = save(cache, 1, ahead=7)
    step(6, 0, -1, 2)
    cache.move(2, 0)  # row 0 has finished: the last one moves into its place
    cache.move(1, 2)  # and the row with the fork somewhere else
    join(1, 3)
    step(1, 2, 3, -1)
    restore(cache, 2, saved)
    step(20, 2, 3, 1)


def alone_outputs(policy: KVPolicy, stream: Stream, prompt: int) -> list[torch.Tensor]:
    cache = a_cache(policy, stream.architecture, rows=1)
    begin(cache, 0, stream, prompt)
    return [feed(cache, [stream])[0] for _ in range(40)]


@pytest.mark.parametrize("policy", **BY_SLUG)
@pytest.mark.parametrize("ahead", [1, 6, 20])
def test_a_fork_that_is_rolled_back_leaves_no_trace(policy, ahead):
    stream = Stream(3, an_architecture())
    expected = alone_outputs(policy, stream, 7)
    cache = a_cache(policy, stream.architecture, rows=1)
    begin(cache, 0, stream, 7)
    for count in range(40):
        saved = save(cache, 0, ahead)
        before = attention_sums(cache)
        for _ in range(ahead):
            feed(cache, [Stream(9, stream.architecture)])
        restore(cache, 0, saved)
        assert all(map(torch.equal, before, attention_sums(cache))), count
        assert torch.equal(feed(cache, [stream])[0], expected[count]), count


def attention_sums(cache: KVCache) -> list[torch.Tensor]:
    """What the tokens of row 0 have received so far, as far as the policy counts it."""
    extent, stores = cache.extents[0], [cache.native, *([cache.packed] if cache.packed else [])]
    return [
        slots.lanes["attention"].used(0, tokens).clone()
        for slots, tokens in zip(stores, (extent.native, extent.packed), strict=False)
        if "attention" in slots.lanes
    ]


def test_what_a_fork_saves_of_a_full_cache_is_nothing():
    cache = a_cache(Full(), an_architecture())
    begin(cache, 0, Stream(0, cache.architecture), 50)
    assert save(cache, 0, ahead=20).nbytes == 0


def test_what_a_fork_saves_of_a_quantised_cache_is_its_native_part_at_most():
    cache = a_cache(Quantized(4, 8, 8), an_architecture(), rows=1)
    stream = Stream(0, cache.architecture)
    begin(cache, 0, stream, MOST - 30)
    for _ in range(16):
        native = sum(view.nbytes for view in cache.native.used(0, cache.extents[0].native))
        assert save(cache, 0, ahead=8).nbytes <= native
        feed(cache, [stream])


@pytest.mark.parametrize("policy", **BY_SLUG)
def test_room_that_grows_keeps_what_is_there(policy):
    stream = Stream(1, an_architecture())
    expected = alone_outputs(policy, stream, 5)
    cache = a_cache(policy, stream.architecture, rows=2)
    begin(cache, 1, stream, 5)
    cache.reserve(4 * MOST)
    cache.move(1, 0)
    assert all(torch.equal(feed(cache, [stream])[0], output) for output in expected)


@pytest.mark.parametrize("policy", **BY_SLUG)
def test_a_policy_is_named_by_method_and_parameters_and_hashes(policy):
    assert load_method(method_of(policy)) is type(policy)
    assert hash(policy) == hash(replace(policy))
    assert isinstance(policy, KVPolicy)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RKV(budget=8), "budget: 8 leaves no token besides the window of 8"),
        (lambda: RKV(budget=64, buffer=0), "buffer: 0 is too small"),
        (lambda: RKV(budget=64, kernel=4), "kernel: 4 is not an odd"),
        (lambda: RKV(budget=64, importance_weight=1.5), "importance_weight: 1.5 is out of range"),
        (lambda: Quantized(3), "bits: 3 is not known; known: 2, 4, 8"),
        (lambda: Quantized(4, 12), "group_size: 12 is not a multiple of 8"),
        (
            lambda: Quantized(4, 8, 8, axis=1, evict=H2O(budget=40, window=30)),
            "residual: 8 is less than evict.window, 30",
        ),
        (
            lambda: Quantized(4, 8, 8, axis=1, evict=StreamingLLM(4, 6)),
            "evict.sinks: 4 do not fit besides the residual of 8 into 10 tokens",
        ),
        (lambda: Quantized(4, layout="kivi", axis=1), "axis: kivi has one for keys and another"),
        (lambda: Quantized(4, axis=2), "axis: 2 is not known; known: 0, 1"),
        (lambda: Quantized(4, sinks=-1), "sinks: -1 is too small"),
        (lambda: Quantized(4, evict=RKV(budget=256)), "axis: 0 packs tokens together"),
        (
            lambda: Quantized(4, layout="kivi", evict=RKV(budget=256)),
            "layout: kivi packs keys of several tokens together",
        ),
        (lambda: Quantized(4, axis=1, evict=Full()), "evict: that policy scores no tokens"),
        (
            lambda: Quantized(4, axis=1, sinks=4, evict=RKV(budget=132)),
            "evict.budget: 132 leaves no token besides 4 sinks and the residual of 128",
        ),
    ],
)
def test_parameters_that_make_no_sense_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (Full(), "full"),
        (StreamingLLM(4, 60), "evicting"),
        (Quantized(4), "quantized"),
        (Quantized(4, axis=1, evict=StreamingLLM(4, 508)), "evicting_quantized"),
    ],
)
def test_a_policys_kind_says_what_it_does_to_tokens(policy, kind: str):
    assert kind_of(policy) == kind

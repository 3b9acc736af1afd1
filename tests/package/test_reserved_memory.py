"""Bytes that the torch engine reserves for a row and saves for a fork, against the cache that it makes."""

import pytest
import torch
from support.nouns import ARCHITECTURE
from support.qwen_memory import AHEAD, POLICIES, QUERY, QWEN, TOKEN, TOKENS

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.streaming_llm import StreamingLLM
from actors.kv_cache.cache import KVCache
from raysweep.kv_policy import Held, KVPolicy
from raysweep.memory import fork_bytes, fork_slots, reserved_bytes, reserved_slots

by_slug = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)


# Slots


@by_slug
@pytest.mark.parametrize("tokens", [1, 200, 1500, 5000])
def test_reserved_bytes_are_those_of_the_tensors_of_a_row(policy: KVPolicy, tokens: int):
    cache = KVCache(ARCHITECTURE, policy, 1, torch.bfloat16, torch.device("meta"))
    cache.reserve(tokens)
    slots = [cache.native, *([cache.packed] if cache.packed else [])]
    lanes = [lane.tensor for store in slots for lane in store.lanes.values()]
    made = sum(lane.nbytes for lane in (*lanes, cache.queries))
    assert reserved_bytes(ARCHITECTURE, policy, tokens) == made


def test_slots_come_in_whole_blocks():
    assert reserved_slots(Full(), 1000) == Held(1024)
    assert reserved_slots(RKV(2048), TOKENS) == Held(2048 + 128)
    assert reserved_slots(RKV(2048), 33) == Held(64)
    # A packing policy has all its native slots, and blocks that hold whole groups.
    assert reserved_slots(Quantized(4), 33) == Held(192)
    assert reserved_slots(Quantized(4, group_size=24, residual=40), 1000) == Held(64, 960)


# Forks


def test_a_fork_of_a_policy_that_only_appends_saves_nothing():
    assert fork_bytes(QWEN, Full(), TOKENS, AHEAD) == 0


def test_a_ring_saves_the_tokens_that_its_window_loses():
    assert fork_slots(StreamingLLM(4, 2044), TOKENS, AHEAD) == Held(AHEAD + 1)
    assert fork_bytes(QWEN, StreamingLLM(4, 2044), TOKENS, AHEAD) == (AHEAD + 1) * TOKEN
    assert fork_slots(StreamingLLM(4, 28), TOKENS, AHEAD) == Held(32)  # no more than there is


def test_an_evicting_policy_saves_a_buffer_for_each_compaction_and_their_places():
    saved = 9 * 128  # 1,100 tokens fill a buffer of 128 nine times at most
    assert fork_slots(RKV(2048), TOKENS, AHEAD) == Held(saved)
    places = saved * 36 * 8 * 4
    assert fork_bytes(QWEN, RKV(2048), TOKENS, AHEAD) == saved * TOKEN + 8 * QUERY + places


def test_a_policy_that_sums_attention_saves_all_sums():
    saved, heads = 9 * 128, 36 * 8
    sums = (2048 + 128) * heads * 4
    assert fork_bytes(QWEN, H2O(2048), TOKENS, AHEAD) == saved * (TOKEN + heads * 4) + sums


def test_a_packing_policy_saves_its_native_tokens_and_packed_ones_only_if_it_evicts():
    assert fork_slots(Quantized(4), TOKENS, AHEAD) == Held(192)
    assert fork_bytes(QWEN, Quantized(4), TOKENS, AHEAD) == 192 * TOKEN
    both = Quantized(4, axis=1, evict=RKV(1024))
    slots = reserved_slots(both, TOKENS)
    assert fork_slots(both, TOKENS, AHEAD) == slots and slots.packed > 0
    assert fork_bytes(QWEN, both, TOKENS, AHEAD) == reserved_bytes(QWEN, both, TOKENS)


@by_slug
def test_a_fork_never_saves_more_than_a_row_and_the_places_of_its_tokens(policy: KVPolicy):
    whole = reserved_bytes(QWEN, policy, TOKENS)
    places = reserved_slots(policy, TOKENS).native * 36 * 8 * 4
    assert fork_bytes(QWEN, policy, TOKENS, 10**6) <= whole + places

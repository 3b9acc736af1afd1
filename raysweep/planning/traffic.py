"""The bytes that the torch engine moves on a GPU for each token, and the products of its compactions.

    attention   what is held, read once (packed numbers are unpacked in registers); partial sums, written and
                read; the new token's entries, written; where attention is summed, also its logits and sums
    layers      the vectors between a layer's kernels, written and read
    sampling    logits in 16 bit, written once and read four times
    compaction  what it reads and moves, divided by the tokens of a trace

A sequence counts at a given length. Forks save and restore a few hundred tokens once per budget, which is
little beside reading all tokens in each step, and is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from raysweep.kv_policy import Held, KVPolicy, Packing, compacts, drops_native, evicts, method_of
from raysweep.memory import (
    ATTENTION_BYTES,
    LOGIT_BYTES,
    NATIVE_BYTES,
    held_bytes,
    kv_bytes_per_token,
    packed_bytes,
)
from raysweep.planning.torch_memory import partials_bytes
from raysweep.spec import Architecture

# How often logits are written or read: by the head, and by sampling for the largest one, the mass of all, a
# histogram and the candidates.
LOGIT_PASSES = 5
# How often scoring reads the keys of a row.
SCORE_PASSES = 4
# How often r_kv reads and writes them in all, besides comparing pairs: norms, importance, moving.
R_KV_PASSES = 8
# Instructions of a thread for each packed number that attention reads, by bits: counted in what is compiled
# for H100 (`python -m benchmarks.packed_instructions`).
INSTRUCTIONS_PER_NUMBER = {8: 6.0, 4: 3.2, 2: 2.9}
# r_kv compares each key with all others, in tiles of so many keys, each pair of tiles once.
PAIR_TILE = 256


@dataclass(frozen=True)
class Work:
    """Bytes moved, operations of tensor cores, instructions of threads; the slowest takes the time."""

    moved: float = 0.0
    flops: float = 0.0
    instructions: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.moved + other.moved,
            self.flops + other.flops,
            self.instructions + other.instructions,
        )

    def __mul__(self, times: float) -> "Work":
        return Work(self.moved * times, self.flops * times, self.instructions * times)


def unpacking_instructions(a: Architecture, policy: KVPolicy, tokens: int) -> float:
    """Instructions that a row's packed keys and values take in a decode step after `tokens` tokens."""
    if policy.packing is None:
        return 0
    numbers = 2 * a.layers * a.kv_heads * a.head_dim * policy.held(tokens).packed
    return numbers * INSTRUCTIONS_PER_NUMBER[policy.packing.bits]


def step_bytes(a: Architecture, policy: KVPolicy, tokens: int) -> int:
    """Bytes that a row moves in a decode step after `tokens` tokens, besides compactions."""
    held = policy.held(tokens)
    logits = LOGIT_PASSES * a.vocab_size * NATIVE_BYTES
    return attention_bytes(a, policy, held) + a.layers * layer_bytes(a) + logits


def attention_bytes(a: Architecture, policy: KVPolicy, held: Held) -> int:
    """Bytes that attention of one token to what a row holds moves in all layers.

    Of observed queries one is written, and none read.
    """
    read = held_bytes(a, policy, held, 0)
    query = a.heads * a.head_dim * NATIVE_BYTES if policy.observed_queries else 0
    summed = held.tokens * (a.kv_heads * ATTENTION_BYTES + 2 * a.heads * LOGIT_BYTES)
    layer = 2 * partials_bytes(a, held.native, held.packed) + query
    layer += summed if policy.scores_attention else 0
    return read + kv_bytes_per_token(a) + a.layers * layer


def layer_bytes(a: Architecture) -> int:
    """Bytes of the vectors that one layer writes and reads for a token, each once in 16 bit.

    Two norms with their input and the sums behind them (8 hidden sizes), queries, keys and values into and
    out of attention, and the two feed-forward products into one.
    """
    queries, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
    numbers = 8 * a.hidden_size + 4 * queries + 4 * keys + 6 * a.intermediate_size
    return numbers * NATIVE_BYTES


def compaction(a: Architecture, policy: KVPolicy, tokens: int) -> Work:
    """The compactions of a trace of `tokens` tokens, divided by its tokens."""
    work = Work()
    for each, every, first in _compactions(a, policy):
        times = max(0, tokens - first + every) // every
        work += each * (times / max(1, tokens))
    return work * (a.layers * a.kv_heads)


def _compactions(a: Architecture, policy: Any) -> Iterator[tuple[Work, int, int]]:
    """Each kind of compaction: its work per layer and KV head, tokens between two, tokens at the first.

    policy  a `KVPolicy` with what `actors.kv.protocols` asks of one that packs or drops tokens
    """
    if not compacts(policy):
        return
    if drops_native(policy):
        yield _eviction(a, policy, policy.compacts_at), policy.buffer, policy.compacts_at
        return
    size = policy.group_size
    yield _packing(a, policy.packing, policy.compacts_at, size), size, policy.compacts_at
    if evicts(policy):
        every = -(-policy.evict.buffer // size) * size
        most = policy.evict.budget + every
        yield _eviction(a, policy.evict, most), every, most


def _eviction(a: Architecture, policy: KVPolicy, tokens: int) -> Work:
    """Scoring `tokens` tokens of a KV head in one layer, and moving those that stay."""
    keys = tokens * a.head_dim * NATIVE_BYTES
    if method_of(policy) != "r_kv":
        return Work(SCORE_PASSES * keys + 2 * 2 * keys)
    pairs = tokens * tokens // 2
    compared = pairs // PAIR_TILE * a.head_dim * NATIVE_BYTES
    return Work(R_KV_PASSES * keys + compared, 2 * a.head_dim * pairs)


def _packing(a: Architecture, packing: Packing, tokens: int, size: int) -> Work:
    """Packing the oldest `size` of `tokens` native tokens of a KV head in one layer; the newer ones move."""
    token = 2 * a.head_dim * NATIVE_BYTES
    block = size * token + packed_bytes(packing, size, a.head_dim)
    return Work(block + 2 * (tokens - size) * token)

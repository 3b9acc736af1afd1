"""The bytes of weights and KV cache, computed from an architecture alone.

M = M_weights + M_kv, as in "Not All Bits Are Equal" (arXiv 2510.10964, appendix B):

    M_weights = every tensor of the checkpoint (see `tensors`): packed codes, scales, zero points and
                group indices of the quantised layers; embedding, head and norms in 16 bit
    M_kv      = native tokens * layers * kv_heads * head_dim * 2 * 2
              + packed tokens * layers * kv_heads * 2 * (codes + scales + zero points)
              + the policy's data for scoring (observed queries, sums of attention)

The numbers are exact to the byte. Tests compare them with the tensors of a model and of a row of its cache.
A peak is the most that a row holds. An engine takes more for a row: it rounds its slots up, and sets aside
what a fork may overwrite. Both are bounded below. All results are in bytes, and GB = 1e9 bytes.

>>> from raysweep import catalogue
>>> model = catalogue.model("qwen3-8b")
>>> full, r_kv = catalogue.kv_policy("full"), catalogue.kv_policy("r_kv-4096")

Four votes of 30,000 tokens, in GB: first the weights at 4 bits, then the full cache and R-KV's cache.

>>> round(weights_bytes(model, catalogue.weights("gptq-4")) / 1e9, 2)
6.1
>>> [round(4 * kv_bytes(model.architecture, policy, 30_000) / 1e9, 2) for policy in (full, r_kv)]
[17.69, 2.45]
"""

import math
from dataclasses import replace
from functools import cache

from raysweep.checkpoints import tensors
from raysweep.kv_policy import (
    MANY_TOKENS,
    Axis,
    Held,
    KVPolicy,
    Packing,
    drops_native,
    evicts,
    keeps_all,
)
from raysweep.spec import Architecture, EngineSpec, ModelSpec, WeightSpec

# Weights, keys, values, scales and zero points are bf16 or fp16. Attention sums and logits are fp32.
NATIVE_BYTES = 2
ATTENTION_BYTES = 4
LOGIT_BYTES = 4

# The number of tokens that an engine prefills at a time.
PREFILL_TOKENS = 2048
# The memory that CUDA, its libraries and the allocator take for themselves.
CONTEXT_BYTES = 1_500_000_000
# The memory of an actor's process before it loads a model: Python, torch, transformers, Ray.
PROCESS_BYTES = 800_000_000
# The torch engine multiplies the head in 32 bit on a CPU.
HEAD_COPY_BYTES = 4
# The torch engine's slots for native tokens come in blocks of this many.
SLOT_BLOCK = 32
# A GPU's attention splits a row's slots over several programs: so many native and packed ones each, at most.
NATIVE_SPLIT, PACKED_SPLIT = 512, 2048
# The working memory in which the torch engine compacts several rows at once. One row may take more.
COMPACTION_BYTES = 512_000_000
# The arrays of scores, one 32-bit number per token and KV head, that scoring a row takes.
SCORE_ARRAYS, SCORE_BYTES = 8, 4
# An index of a token, kept for each native token that a fork may drop.
PLACE_BYTES = 4
# vLLM rounds the vocabulary up to a multiple of this before it splits it.
VOCABULARY_PADDING = 64


def weights_bytes(model: ModelSpec, weights: WeightSpec) -> int:
    """Bytes of the model's weights, the "effective size" of the study. A tied head counts once.

    Raises ValueError for a method whose bytes are not modelled.

    >>> from raysweep import catalogue
    >>> weights_bytes(catalogue.model("qwen3-8b"), catalogue.weights("bf16"))
    16381470720
    """
    return architecture_bytes(model.architecture, weights)


@cache
def architecture_bytes(a: Architecture, weights: WeightSpec) -> int:
    """Bytes of all tensors of an architecture at a precision."""
    layer = sum(tensor.nbytes for tensor in tensors.layer_tensors(a, weights).values())
    outer = sum(tensor.nbytes for tensor in tensors.outer_tensors(a).values())
    return a.layers * layer + outer


def share(a: Architecture, ranks: int) -> Architecture:
    """The part of a model that each of `ranks` GPUs holds under tensor parallelism, as an architecture.

    Heads, feed-forward features and the vocabulary are split. Every GPU holds the norms. If there are fewer
    KV heads than GPUs, they are replicated. Raises ValueError if the heads or features do not split.
    """
    if ranks == 1:
        return a
    if (
        a.heads % ranks
        or a.intermediate_size % ranks
        or max(a.kv_heads, ranks) % min(a.kv_heads, ranks)
    ):
        raise ValueError(
            f"{a.heads} heads, {a.kv_heads} KV heads and {a.intermediate_size} feed-forward features "
            f"do not split over {ranks} GPUs"
        )
    vocabulary = -(-a.vocab_size // VOCABULARY_PADDING) * VOCABULARY_PADDING
    return replace(
        a,
        heads=a.heads // ranks,
        kv_heads=max(1, a.kv_heads // ranks),
        intermediate_size=a.intermediate_size // ranks,
        vocab_size=-(-vocabulary // ranks),
    )


def workspace_bytes(a: Architecture, rows: int) -> int:
    """An allowance for what an engine needs besides weights and cache. It is not an exact count.

    It covers the logits and probabilities of all rows, the widest activations of a prefill step, and a
    fixed amount for CUDA, its libraries and the allocator's gaps.
    """
    logits = 2 * rows * a.vocab_size * LOGIT_BYTES
    features = 2 * a.hidden_size + 3 * a.intermediate_size + 2 * a.heads * a.head_dim
    return CONTEXT_BYTES + logits + PREFILL_TOKENS * features * NATIVE_BYTES


def working_copy_bytes(a: Architecture, linear_bytes: int) -> int:
    """Bytes of the torch engine's working copy of the weights on a CPU, which no accounted number includes.

    linear_bytes  per weight of a large linear layer, as the CPU multiplies it: 2 or 4; the head has 4
    """
    layer = sum(linear.inputs * linear.outputs for linear in tensors.linears(a))
    return a.layers * layer * linear_bytes + a.vocab_size * a.hidden_size * HEAD_COPY_BYTES


def cpu_actor_bytes(engine: EngineSpec, linear_bytes: int, rows: int, tokens: int) -> int:
    """An allowance for an actor on a CPU: its process, weights, their working copy, and `rows` full rows."""
    a = engine.model.architecture
    held = weights_bytes(engine.model, engine.weights) + working_copy_bytes(a, linear_bytes)
    return PROCESS_BYTES + held + rows * kv_peak_bytes(a, engine.kv_policy, tokens)


def kv_bytes_per_token(architecture: Architecture) -> int:
    """Bytes of one native token's keys and values over all layers.

    >>> from raysweep import catalogue
    >>> kv_bytes_per_token(catalogue.model("qwen3-8b").architecture) // 1024
    144
    """
    a = architecture
    return a.layers * a.kv_heads * a.head_dim * 2 * NATIVE_BYTES


def kv_bytes(architecture: Architecture, policy: KVPolicy, tokens: int) -> int:
    """Bytes of one sequence's KV cache after `tokens` tokens.

    >>> from raysweep import catalogue
    >>> architecture = catalogue.model("qwen3-8b").architecture
    >>> [kv_bytes(architecture, catalogue.kv_policy(name), 30_000) // 2**20
    ...  for name in ("full", "streaming_llm-4096", "quantized-4")]
    [4218, 576, 1204]
    """
    return held_bytes(architecture, policy, policy.held(tokens), tokens)


def kv_peak_bytes(architecture: Architecture, policy: KVPolicy, tokens: int) -> int:
    """The most bytes that the cache takes until then, with the policy's buffers at their largest.

    >>> from raysweep import catalogue
    >>> r_kv = catalogue.kv_policy("r_kv-4096")
    >>> kv_peak_bytes(catalogue.model("qwen3-8b").architecture, r_kv, 30_000) // 2**20
    596
    """
    return held_bytes(architecture, policy, policy.reserved(tokens), tokens)


def held_bytes(architecture: Architecture, policy: KVPolicy, held: Held, tokens: int) -> int:
    """Bytes of what a cache holds (`held`) of a sequence of `tokens` tokens."""
    a = architecture
    total = held.native * kv_bytes_per_token(a)
    if policy.packing is not None:
        total += a.layers * a.kv_heads * packed_bytes(policy.packing, held.packed, a.head_dim)
    if policy.scores_attention:
        total += a.layers * a.kv_heads * held.tokens * ATTENTION_BYTES
    queries = min(policy.observed_queries, tokens)
    return total + a.layers * a.heads * a.head_dim * queries * NATIVE_BYTES


def reserved_slots(policy: KVPolicy, tokens: int) -> Held:
    """The slots that the torch engine keeps for a row of up to `tokens` tokens, in whole blocks.

    A policy that packs has native slots for as many tokens as it compacts at, however short the row.

    >>> from raysweep import catalogue
    >>> [reserved_slots(catalogue.kv_policy(name), 1000) for name in ("full", "quantized-4")]
    [Held(native=1024, packed=0), Held(native=192, packed=832)]
    """
    most = policy.reserved(tokens)
    if policy.packing is None:
        return Held(round_up(most.native, SLOT_BLOCK))
    native = getattr(policy, "compacts_at", most.native)
    return Held(round_up(native, SLOT_BLOCK), round_up(most.packed, packed_block(policy)))


def packed_block(policy: KVPolicy) -> int:
    """Packed slots come in multiples of this, for whole groups."""
    return math.lcm(SLOT_BLOCK, getattr(policy, "group_size", 1))


def reserved_bytes(a: Architecture, policy: KVPolicy, tokens: int) -> int:
    """Bytes that the torch engine reserves for a row: its slots, and a full ring of observed queries."""
    return held_bytes(a, policy, reserved_slots(policy, tokens), MANY_TOKENS)


def kept_prompts_bytes(a: Architecture, policy: KVPolicy, tokens: int) -> int:
    """The bytes of prompts that the torch engine keeps for further samples: a quarter of a row's.

    It keeps one prompt that takes more, but then only that one.
    """
    return reserved_bytes(a, policy, tokens) // 4


def fork_slots(policy: KVPolicy, tokens: int, ahead: int) -> Held:
    """The most tokens of a row that a fork of `ahead` tokens may overwrite, so that they are saved.

    A policy that keeps every token as it is only appends. One that drops native tokens overwrites `buffer`
    of them each time that it does. One that packs overwrites all native ones, and all packed ones only if
    it evicts too.
    """
    slots = reserved_slots(policy, tokens)
    if keeps_all(policy):
        return Held(0)
    buffer = getattr(policy, "buffer", None)
    overwritten = slots.native if buffer is None else (ahead // buffer + 1) * buffer
    moves_packed = policy.packing is not None and evicts(policy)
    return Held(min(slots.native, overwritten), slots.packed if moves_packed else 0)


def fork_bytes(a: Architecture, policy: KVPolicy, tokens: int, ahead: int) -> int:
    """The most bytes that a fork saves of a row, for an answer of `ahead` tokens with its forced closing.

    Keys and values of the tokens above, observed queries, the attention sums of all tokens, and the places
    of the native tokens that are dropped.
    """
    saved = fork_slots(policy, tokens, ahead)
    total = held_bytes(a, policy, saved, MANY_TOKENS)
    heads = a.layers * a.kv_heads
    if policy.scores_attention:
        unsaved = reserved_slots(policy, tokens).tokens - saved.tokens
        total += heads * unsaved * ATTENTION_BYTES
    return total + (heads * saved.native * PLACE_BYTES if drops_native(policy) else 0)


def compaction_row_bytes(a: Architecture, policy: KVPolicy, tokens: int) -> int:
    """The most bytes that the torch engine takes to compact one row in one layer.

    Per KV head and slot that is looked at: a copy of the key, a logit for each observed query, scores, and
    what moves of the widest lane. Packed tokens are looked at only if they may be evicted, and then unpacked.
    """
    slots, moves_packed = (
        reserved_slots(policy, tokens),
        policy.packing is not None and evicts(policy),
    )
    looked_at = slots.tokens if moves_packed else slots.native
    key = a.head_dim * (2 * SCORE_BYTES if moves_packed else NATIVE_BYTES)
    logits = policy.observed_queries * a.heads // a.kv_heads * LOGIT_BYTES
    moved = a.head_dim * NATIVE_BYTES
    return a.kv_heads * looked_at * (key + logits + SCORE_ARRAYS * SCORE_BYTES + moved)


def packed_bytes(packing: Packing, tokens: int, head_dim: int) -> int:
    """Bytes of one head's packed keys and values. Along a channel axis, `tokens` are whole groups."""
    codes = 2 * (tokens * head_dim * packing.bits // 8)
    axes = (packing.key_axis, packing.value_axis)
    scales = sum(_groups(packing, axis, tokens, head_dim) for axis in axes)
    return codes + scales * packing.scale_bits // 8 * (2 if packing.zero_points else 1)


def _groups(packing: Packing, axis: Axis, tokens: int, head_dim: int) -> int:
    if axis == "layer":
        return 0
    if axis == "channel":
        return head_dim * (tokens // packing.group_size)
    return tokens * (head_dim // min(packing.group_size, head_dim))


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple

"""Bytes: what weights and KV cache take, computed from an architecture alone.

M = M_weights + M_kv, as in "Not All Bits Are Equal" (arXiv 2510.10964, appendix B):

    M_weights = 2 * parameters                                                at 16 bit
    M_kv      = native tokens * layers * kv_heads * head_dim * 2 * 2
              + packed tokens * layers * kv_heads * 2 * (codes + scales + zero points)
              + what the policy scores with (observed queries, sums of attention)

Exact, to the byte: tests count the tensors that a row holds. A peak is the room that is reserved for a
row; what a fork puts aside while it runs comes on top of it. All results are bytes; GB = 1e9 bytes.
"""

from raysweep.kv_policy import Axis, Held, KVPolicy, Packing
from raysweep.spec import Architecture, ModelSpec, WeightSpec

NATIVE_BYTES = 2  # bf16 and fp16; scales and zero points too
ATTENTION_BYTES = 4  # fp32


def weights_bytes(model: ModelSpec, weights: WeightSpec) -> int:
    """Bytes of all parameters; a tied head counts once.

    Raises ValueError for a precision whose bytes are not modelled.
    """
    if weights.bits != 16:
        raise ValueError(f"weights: no byte model for {weights.slug!r}; known: 16 bit")
    return NATIVE_BYTES * model.params


def kv_bytes_per_token(architecture: Architecture) -> int:
    """Bytes of one native token's keys and values over all layers."""
    a = architecture
    return a.layers * a.kv_heads * a.head_dim * 2 * NATIVE_BYTES


def kv_bytes(architecture: Architecture, policy: KVPolicy, tokens: int) -> int:
    """Bytes of one sequence's KV cache once it has seen `tokens` tokens."""
    return held_bytes(architecture, policy, policy.held(tokens), tokens)


def kv_peak_bytes(architecture: Architecture, policy: KVPolicy, tokens: int) -> int:
    """The most bytes that the cache takes on the way there, its buffers at their fullest."""
    return held_bytes(architecture, policy, policy.reserved(tokens), tokens)


def held_bytes(architecture: Architecture, policy: KVPolicy, held: Held, tokens: int) -> int:
    """Bytes of what is `held` of a sequence that has seen `tokens` tokens."""
    a = architecture
    total = held.native * kv_bytes_per_token(a)
    if policy.packing is not None:
        total += a.layers * a.kv_heads * packed_bytes(policy.packing, held.packed, a.head_dim)
    if policy.scores_attention:
        total += a.layers * a.kv_heads * held.tokens * ATTENTION_BYTES
    queries = min(policy.observed_queries, tokens)
    return total + a.layers * a.heads * a.head_dim * queries * NATIVE_BYTES


def packed_bytes(packing: Packing, tokens: int, head_dim: int) -> int:
    """Bytes of one head's packed keys and values; `tokens` are whole groups along a channel axis."""
    codes = 2 * (tokens * head_dim * packing.bits // 8)
    axes = (packing.key_axis, packing.value_axis)
    scales = sum(_groups(packing, axis, tokens, head_dim) for axis in axes)
    return codes + scales * packing.scale_bits // 8 * (1 if packing.symmetric else 2)


def _groups(packing: Packing, axis: Axis, tokens: int, head_dim: int) -> int:
    if axis == "layer":
        return 0
    if axis == "channel":
        return head_dim * (tokens // packing.group_size)
    return tokens * (head_dim // min(packing.group_size, head_dim))

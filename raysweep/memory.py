"""Bytes: what weights and KV cache take, computed from an architecture alone.

M = M_weights + M_kv, as in "Not All Bits Are Equal" (arXiv 2510.10964, appendix B):

    M_weights = 2 * parameters                                   at 16 bit
    M_kv      = kept tokens * layers * kv_heads * head_dim * 2 * 2

All results are bytes; GB = 1e9 bytes.
"""

from raysweep.kv_policy import KVPolicy
from raysweep.spec import Architecture, ModelSpec, WeightSpec

NATIVE_BYTES = 2  # bf16 and fp16


def weights_bytes(model: ModelSpec, weights: WeightSpec) -> int:
    """Bytes of all parameters; a tied head counts once.

    Raises ValueError for a precision whose bytes are not modelled.
    """
    if weights.bits != 16:
        raise ValueError(f"weights: no byte model for {weights.slug!r}; known: 16 bit")
    return NATIVE_BYTES * model.params


def kv_bytes_per_token(architecture: Architecture) -> int:
    """Bytes of one kept token's keys and values over all layers."""
    a = architecture
    return a.layers * a.kv_heads * a.head_dim * 2 * NATIVE_BYTES


def kv_bytes(architecture: Architecture, policy: KVPolicy, tokens: int) -> int:
    """Bytes of one sequence's KV cache once it has seen `tokens` tokens."""
    return kv_bytes_per_token(architecture) * policy.kept_tokens(tokens)

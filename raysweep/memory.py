"""The bytes of weights and KV cache, computed from an architecture alone.

M = M_weights + M_kv, as in "Not All Bits Are Equal" (arXiv 2510.10964, appendix B):

    M_weights = every tensor of the checkpoint (see `tensors`): packed codes, scales, zero points and
                group indices of the quantised layers; embedding, head and norms in 16 bit
    M_kv      = native tokens * layers * kv_heads * head_dim * 2 * 2
              + packed tokens * layers * kv_heads * 2 * (codes + scales + zero points)
              + the policy's data for scoring (observed queries, sums of attention)

The numbers are exact to the byte. Tests compare them with the tensors of a model and of a row of its cache.
A peak is the memory that is reserved for a row. A fork sets some of the cache aside while it runs, which is
not included. All results are in bytes, and GB = 1e9 bytes.

>>> from raysweep import catalogue
>>> model = catalogue.model("qwen3-8b")
>>> full, r_kv = catalogue.kv_policy("full"), catalogue.kv_policy("r_kv-4096")

Four votes of 30,000 tokens, in GB: first the weights at 4 bits, then the full cache and R-KV's cache.

>>> round(weights_bytes(model, catalogue.weights("gptq-4")) / 1e9, 2)
6.1
>>> [round(4 * kv_bytes(model.architecture, policy, 30_000) / 1e9, 2) for policy in (full, r_kv)]
[17.69, 2.45]
"""

from dataclasses import replace
from functools import cache

from raysweep.checkpoints import tensors
from raysweep.kv_policy import Axis, Held, KVPolicy, Packing
from raysweep.spec import Architecture, ModelSpec, WeightSpec

# Weights, keys, values, scales and zero points are bf16 or fp16. Attention sums and logits are fp32.
NATIVE_BYTES = 2
ATTENTION_BYTES = 4
LOGIT_BYTES = 4

# The number of tokens that an engine prefills at a time.
PREFILL_TOKENS = 2048
# The memory that CUDA, its libraries and the allocator take for themselves.
CONTEXT_BYTES = 1_500_000_000
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
    [4218, 576, 1138]
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

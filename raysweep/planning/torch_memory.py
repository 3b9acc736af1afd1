"""The most memory that the torch engine takes on a GPU, which it does not share with a second GPU.

    weights + fixed + rows * row
    fixed = allowance + kept prompts + prefill + compaction
    row   = reserved slots + what a fork saves + scratch of attention + logits

Every row may fork at once. What is reserved and what a fork saves is in `raysweep.memory`.
"""

from raysweep.kv_policy import KVPolicy, compacts
from raysweep.memory import (
    ATTENTION_BYTES,
    COMPACTION_BYTES,
    LOGIT_BYTES,
    NATIVE_BYTES,
    PREFILL_TOKENS,
    fork_bytes,
    kept_prompts_bytes,
    kv_bytes_per_token,
    reserved_bytes,
    reserved_slots,
    workspace_bytes,
)
from raysweep.planning.lengths import Lengths
from raysweep.spec import Architecture

# Attention splits a row's slots over several programs of a kernel: so many native and packed ones each.
NATIVE_SPLIT, PACKED_SPLIT = 512, 2048
# Sums, scores and logits are in 32 bit.
WIDE_BYTES = 4
# The arrays of scores, one number per token and KV head, that scoring a row takes.
SCORE_ARRAYS = 8
# A prompt is assumed to have at least so many tokens, which bounds how many are prefilled at once.
SHORT_PROMPT_TOKENS = 32


def row_bytes(a: Architecture, policy: KVPolicy, lengths: Lengths) -> int:
    """Bytes that one more row takes."""
    logits = workspace_bytes(a, 1) - workspace_bytes(a, 0)
    reserved = reserved_bytes(a, policy, lengths.row)
    saved = fork_bytes(a, policy, lengths.row, lengths.ahead)
    return reserved + saved + scratch_bytes(a, policy, lengths.row) + logits


def fixed_bytes(a: Architecture, policy: KVPolicy, lengths: Lengths) -> int:
    """Bytes that the engine takes besides weights and rows."""
    kept = kept_prompts_bytes(a, policy, lengths.row)
    prefill = prefill_bytes(a, policy, lengths.prompt)
    return workspace_bytes(a, 0) + kept + prefill + compaction_bytes(a, policy, lengths.row)


def scratch_bytes(a: Architecture, policy: KVPolicy, tokens: int) -> int:
    """Bytes of a row's scratch in attention: the partial sums, and logits if attention is summed."""
    slots = reserved_slots(policy, tokens)
    partials = partials_bytes(a, slots.native, slots.packed)
    return partials + (a.heads * slots.tokens * LOGIT_BYTES if policy.scores_attention else 0)


def partials_bytes(a: Architecture, native: int, packed: int) -> int:
    """Bytes of a row's partial sums in one layer: for each head and split an output, a maximum and a sum."""
    splits = -(-native // NATIVE_SPLIT) + -(-packed // PACKED_SPLIT)
    return a.heads * splits * (a.head_dim + 2) * WIDE_BYTES


def prefill_bytes(a: Architecture, policy: KVPolicy, prompt: int) -> int:
    """Bytes of the prompts that are prefilled at once, until their rows have begun.

    Their keys and values, and their queries as far as the policy looks at them.

    prompt  tokens of the longest prompt
    """
    tokens = max(PREFILL_TOKENS, prompt)
    observed = policy.observed_queries * -(-tokens // SHORT_PROMPT_TOKENS)
    queries = tokens if policy.scores_attention else min(tokens, observed)
    return tokens * kv_bytes_per_token(a) + queries * _query_bytes(a)


def compaction_bytes(a: Architecture, policy: KVPolicy, tokens: int) -> int:
    """Bytes of working memory in which rows are compacted, layer by layer; 0 if none ever is.

    One row may need more than `COMPACTION_BYTES`: a copy of its keys, the logits of its observed queries,
    scores, and a copy of the lane with the most bytes.
    """
    if not compacts(policy):
        return 0
    slots, packing = reserved_slots(policy, tokens), policy.packing
    keys = slots.tokens * a.head_dim * (NATIVE_BYTES if packing is None else WIDE_BYTES)
    logits = slots.tokens * policy.observed_queries * a.heads // a.kv_heads * LOGIT_BYTES
    scores = slots.tokens * SCORE_ARRAYS * WIDE_BYTES
    codes = 0 if packing is None else slots.packed * a.head_dim * packing.bits // 8
    widest = max(slots.native * a.head_dim * NATIVE_BYTES, codes, slots.tokens * ATTENTION_BYTES)
    return max(COMPACTION_BYTES, a.kv_heads * (keys + logits + scores + widest))


def _query_bytes(a: Architecture) -> int:
    return a.layers * a.heads * a.head_dim * NATIVE_BYTES

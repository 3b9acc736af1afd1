"""The most memory that the torch engine takes on a GPU, which it does not share with a second GPU.

    weights + fixed + rows * row
    fixed = allowance + kept prompts + prefill + compaction
    row   = reserved slots + what a fork saves + scratch of attention + logits

Every row may fork at once. What is reserved and what a fork saves is in `raysweep.memory`.
"""

from raysweep.kv_policy import KVPolicy, compacts
from raysweep.memory import (
    COMPACTION_BYTES,
    LOGIT_BYTES,
    NATIVE_BYTES,
    NATIVE_SPLIT,
    PACKED_SPLIT,
    PREFILL_TOKENS,
    compaction_row_bytes,
    fork_bytes,
    kept_prompts_bytes,
    kv_bytes_per_token,
    reserved_bytes,
    reserved_slots,
    workspace_bytes,
)
from raysweep.planning.lengths import Lengths
from raysweep.spec import Architecture


def row_bytes(a: Architecture, policy: KVPolicy, lengths: Lengths) -> int:
    """Bytes that one more row takes."""
    logits = workspace_bytes(a, 1) - workspace_bytes(a, 0)
    reserved = reserved_bytes(a, policy, lengths.row)
    saved = fork_bytes(a, policy, lengths.row, lengths.ahead)
    return reserved + saved + scratch_bytes(a, policy, lengths.row) + logits


def fixed_bytes(a: Architecture, policy: KVPolicy, lengths: Lengths) -> int:
    """Bytes that the engine takes besides weights and rows."""
    one_prompt = reserved_bytes(a, policy, lengths.prompt)
    kept = max(kept_prompts_bytes(a, policy, lengths.row), one_prompt)
    prefill = prefill_bytes(a, policy, lengths.prompt)
    return workspace_bytes(a, 0) + kept + prefill + compaction_bytes(a, policy, lengths.row)


def scratch_bytes(a: Architecture, policy: KVPolicy, tokens: int) -> int:
    """Bytes of a row's scratch in attention: the partial sums, and logits if attention is summed."""
    slots = reserved_slots(policy, tokens)
    partials = partials_bytes(a, slots.native, slots.packed)
    return partials + (a.heads * slots.tokens * LOGIT_BYTES if policy.scores_attention else 0)


def partials_bytes(a: Architecture, native: int, packed: int) -> int:
    """Bytes of a row's partial sums in one layer: for each head and split an output and a log-sum-exp."""
    splits = -(-native // NATIVE_SPLIT) + -(-packed // PACKED_SPLIT)
    return a.heads * splits * (a.head_dim + 1) * LOGIT_BYTES


def prefill_bytes(a: Architecture, policy: KVPolicy, prompt: int) -> int:
    """Bytes of the prompts that are prefilled at once, until their rows have begun.

    Their keys and values, and their queries if the policy looks at some.

    prompt  tokens of the longest prompt
    """
    tokens = max(PREFILL_TOKENS, prompt)
    looks_back = policy.scores_attention or policy.observed_queries
    return tokens * (kv_bytes_per_token(a) + (_query_bytes(a) if looks_back else 0))


def compaction_bytes(a: Architecture, policy: KVPolicy, tokens: int) -> int:
    """Bytes of working memory in which rows are compacted, layer by layer; 0 if none ever is."""
    if not compacts(policy):
        return 0
    return max(COMPACTION_BYTES, compaction_row_bytes(a, policy, tokens))


def _query_bytes(a: Architecture) -> int:
    return a.layers * a.heads * a.head_dim * NATIVE_BYTES

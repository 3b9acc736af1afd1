"""The memory that vLLM takes on each GPU. The plan and the actor count by the same numbers.

    weights + fixed + rows * row
    fixed = allowance + what one row takes at its longest, beyond its mean
    row   = cache of a row at its mean length + logits

vLLM's cache is paged: a row takes blocks as it grows, from its prompt to its longest, so over its life it
takes half of what its trace takes at the end. The rows share these bytes. They may all be long at once, as
rows are that started together. Then vLLM frees the blocks of the youngest one, and computes it again
when blocks are free (preemption). One row at its longest always fits, so every trace comes to its end.

Preemption costs time. Of the rows that fit on average but not at their longest some wait, and their tokens
are computed again (`crowding`). A test measures both on traces of equal length, which are the worst case.

The cache counts in whole blocks (`sequence_bytes`), which for short rows is much more than their tokens.
An engine on a share of a GPU asks vLLM for the bytes of this cache. Then vLLM does not measure, which would
count what others on that GPU take or free meanwhile. Of whole GPUs vLLM gets a part that it fills itself.
"""

from dataclasses import dataclass

from raysweep.kv_policy import KVPolicy
from raysweep.memory import CONTEXT_BYTES, kv_bytes, workspace_bytes
from raysweep.planning.lengths import Lengths
from raysweep.spec import Architecture

# The most tokens per cache block on a GPU: vLLM chooses, by its attention backend.
GPU_BLOCK_TOKENS = 64

# The share of a GPU's memory that vLLM may take. What CUDA takes for itself comes on top.
MOST_OF_A_GPU = 0.95

# Of the rows beyond those that fit at their longest, the share that decodes while the others wait.
DECODING = 0.6
# Tokens that are computed again per decoded token, for each such row per row that fits at its longest.
RECOMPUTED = 0.45


@dataclass(frozen=True)
class Crowding:
    """What it costs that rows share less memory than all of them take at their longest.

    decoding    share of the rows that decode at a time
    recomputed  tokens computed again per decoded token
    """

    decoding: float = 1.0
    recomputed: float = 0.0


def usable_bytes(memory_bytes: int) -> int:
    """Bytes of a GPU that an engine takes at most, CUDA's own included."""
    return min(memory_bytes, int(MOST_OF_A_GPU * memory_bytes) + CONTEXT_BYTES)


def row_bytes(a: Architecture, policy: KVPolicy, lengths: Lengths) -> int:
    """Bytes that one more row takes: its cache at its mean length, and its logits."""
    logits = workspace_bytes(a, 1) - workspace_bytes(a, 0)
    return sequence_bytes(a, policy, lengths.mean) + logits


def spread_bytes(a: Architecture, policy: KVPolicy, lengths: Lengths) -> int:
    """Bytes that a row takes at its longest beyond those at its mean length."""
    return sequence_bytes(a, policy, lengths.row) - sequence_bytes(a, policy, lengths.mean)


def sequence_bytes(
    a: Architecture, policy: KVPolicy, tokens: int, block_tokens: int = GPU_BLOCK_TOKENS
) -> int:
    """Bytes of one sequence's cache: its blocks, plus the one that the pool keeps empty."""
    blocks = -(-tokens // block_tokens) + 1
    return kv_bytes(a, policy, blocks * block_tokens)


def fixed_bytes(a: Architecture, policy: KVPolicy, lengths: Lengths) -> int:
    """Bytes that the engine takes besides weights and rows, so that a row at its longest fits."""
    return workspace_bytes(a, 0) + spread_bytes(a, policy, lengths)


def crowding(rows: int, certain: int) -> Crowding:
    """The cost of `rows` rows in a cache that holds `certain` rows at their longest."""
    beyond = max(0, rows - certain)
    if not beyond or not certain:
        return Crowding()
    return Crowding((certain + DECODING * beyond) / rows, RECOMPUTED * beyond / certain)


def asked_bytes(free: int, total: int, taken: int, cache: int, part: float) -> int:
    """Bytes of a GPU that vLLM may take: `taken` and `part` of the cache that fits beside it.

    A smaller part gives less, whatever fits.

    free   bytes that nobody holds, of `total`
    taken  bytes that the engine takes besides the cache, without CUDA's own, which vLLM does not count
    cache  bytes of the cache that is wanted

    Raises MemoryError if nothing is left beside what CUDA takes for itself.
    """
    most = min(int(MOST_OF_A_GPU * total), free - CONTEXT_BYTES)
    if most <= 1:
        raise MemoryError(f"only {free / 1e9:.1f} of {total / 1e9:.1f} GB of a GPU are free")
    room = min(cache, most - taken)
    return taken + int(part * room) if room > 0 else int(part * most)

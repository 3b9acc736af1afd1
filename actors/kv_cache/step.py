"""One decoding step over the rows of a cache: `begin` it, `attend` in every layer, `end` it.

A step appends one token to each of the first n rows and attends to everything that those rows hold. A row
that then holds `compacts_at` native tokens is compacted. On a GPU kernels take the place of `begin` and
`attend` (see `actors.torch_engine.gpu_step`). The cache knows nothing of steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from actors.kv_cache.attention import Block, attend_block, blocks_of
from actors.kv_cache.cache import KVCache
from actors.kv_cache.compaction import compact


@dataclass(frozen=True)
class Step:
    """What all layers of one decoding step share: the slots of the new tokens, and what is attended to."""

    rows: torch.Tensor  # [n], 0..n-1
    slots: torch.Tensor  # [n], of the native slots
    query_slots: torch.Tensor  # [n], in the ring of observed queries
    blocks: tuple[Block, ...]


def begin(cache: KVCache, count: int) -> Step:
    """A step of the cache's first `count` rows."""
    slots, native, packed = slots_of(cache, count)
    return Step(
        torch.arange(count, device=cache.device),
        torch.tensor(slots, device=cache.device),
        torch.tensor(query_slots_of(cache, count)),
        tuple(blocks_of(cache, native, packed)),
    )


def slots_of(cache: KVCache, count: int) -> tuple[list[int], list[int], list[int]]:
    """Of the first `count` rows: the slot of the next token, then the native and packed tokens with it."""
    extents = cache.extents[:count]
    slots = [cache.slot(extent) for extent in extents]
    native = [max(extent.native, slot + 1) for extent, slot in zip(extents, slots, strict=True)]
    return slots, native, [extent.packed for extent in extents]


def query_slots_of(cache: KVCache, count: int) -> list[int]:
    """Where the next query of each of the first `count` rows goes in the ring of observed ones."""
    observed = max(1, cache.policy.observed_queries)
    return [extent.seen % observed for extent in cache.extents[:count]]


def attend(
    cache: KVCache, step: Step, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Append a token to each row of the step and attend: [n, heads * head_dim], in q's type.

    q [n, heads, head_dim], k and v [n, kv_heads, head_dim], rotated.
    """
    rows, slots = step.rows, step.slots
    cache.native["keys"][layer][rows, :, slots] = k.to(cache.storage)
    cache.native["values"][layer][rows, :, slots] = v.to(cache.storage)
    if cache.policy.scores_attention:
        cache.native["attention"][layer][rows, :, slots] = 0.0
    # The query heads that share a key head stand where a sequence's queries would, so keys are not copied.
    grouped = q.view(len(rows), cache.architecture.kv_heads, -1, q.shape[-1])
    if cache.policy.observed_queries:
        cache.queries[layer][rows, :, :, step.query_slots] = grouped.to(cache.storage)
    parts = [attend_block(cache, layer, block, grouped) for block in step.blocks]
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).flatten(1)


def compacts_next(cache: KVCache, row: int) -> bool:
    """Whether the row is compacted after its next token."""
    return cache.extents[row].native + 1 == cache.compacts_at


def end(cache: KVCache, rows: Sequence[int]) -> None:
    """Count the new token of each of these rows, and compact the rows that are due."""
    for row in rows:
        cache.advance(row, 1)
    if due := [row for row in rows if cache.extents[row].native == cache.compacts_at]:
        compact(cache, due)

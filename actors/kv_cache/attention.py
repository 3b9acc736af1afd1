"""Attention of one new token per row over everything that the rows hold, on a CPU.

Rows are taken in blocks. What a block widens to the arithmetic's type (native numbers) or unpacks (packed
ones) then fits the CPU's cache, and is never held for a whole batch. A row's result does not depend on
its neighbours: what lies beyond a row's extent is masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from actors.kv_cache.packing import unpack_into
from actors.kv_cache.tiles import attention_weights, weighted_values
from raysweep.memory import SLOT_BLOCK, packed_block, round_up

if TYPE_CHECKING:
    from actors.kv_cache.cache import KVCache

BLOCK_BYTES = 1 << 20  # most bytes of widened keys and values per block: about a core's cache


@dataclass(frozen=True)
class Block:
    """Some rows, and what each of them may attend to: native slots first, then packed ones.

    Packed slots begin at the same place in every batch. So a row's sums are taken in the same order
    whatever its neighbours are, and only the masked tail varies with them.
    """

    start: int
    stop: int
    native: int  # slots that the longest row attends to
    packed: int
    mask: torch.Tensor  # [rows, 1, 1, native + packed], 0 or -inf


def blocks_of(cache: KVCache, native: Sequence[int], packed: Sequence[int]) -> Iterator[Block]:
    """Cut the rows with these extents into blocks."""
    size = _rows_per_block(cache, sum(_longest(cache, native, packed)))
    for start in range(0, len(native), size):
        rows = slice(start, start + size)
        longest = _longest(cache, native[rows], packed[rows])
        mask = _mask(cache, native[rows], packed[rows], *longest)
        yield Block(start, start + len(mask), *longest, mask)


def _longest(cache: KVCache, native: Sequence[int], packed: Sequence[int]) -> tuple[int, int]:
    """Native and packed slots that cover all of these rows, in whole blocks."""
    if cache.packed is None:
        return min(cache.native.capacity, round_up(max(native), SLOT_BLOCK)), 0
    longest = round_up(max(packed), packed_block(cache.policy))
    return cache.native.capacity, min(cache.packed.capacity, longest)


def _rows_per_block(cache: KVCache, tokens: int) -> int:
    a = cache.architecture
    return max(1, BLOCK_BYTES // (a.kv_heads * tokens * a.head_dim * 2 * 4))


def _mask(
    cache: KVCache, native: Sequence[int], packed: Sequence[int], most_native: int, most_packed: int
) -> torch.Tensor:
    held = torch.tensor([native, packed], device=cache.device).T[:, :, None]  # [rows, 2, 1]
    places = torch.arange(max(most_native, most_packed), device=cache.device)
    parts = (places[:most_native] >= held[:, 0], places[:most_packed] >= held[:, 1])
    hidden = torch.cat(parts, -1)
    mask = torch.zeros(hidden.shape, device=cache.device)
    return mask.masked_fill_(hidden, float("-inf"))[:, None, None]


def attend_block(cache: KVCache, layer: int, block: Block, queries: torch.Tensor) -> torch.Tensor:
    """Attention of a block's rows; queries [n, kv_heads, group, head_dim], result for the block alone."""
    q = queries[block.start : block.stop]
    keys = _numbers(cache, layer, block, "key", q.dtype)
    values = _numbers(cache, layer, block, "value", q.dtype)
    weights = attention_weights(q, keys, block.mask)
    if cache.policy.scores_attention:
        _add_attention(cache, layer, block, weights.float().sum(2))
    return weighted_values(weights, values)


def _add_attention(cache: KVCache, layer: int, block: Block, received: torch.Tensor) -> None:
    """Add what each token received, [rows, kv_heads, native + packed], to its sum."""
    rows = slice(block.start, block.stop)
    cache.native["attention"][layer, rows, :, : block.native] += received[..., : block.native]
    if cache.packed is not None:
        cache.packed["attention"][layer, rows, :, : block.packed] += received[..., block.native :]


def _numbers(
    cache: KVCache, layer: int, block: Block, side: str, dtype: torch.dtype
) -> torch.Tensor:
    """A block's keys or values in the arithmetic's type: [rows, kv_heads, native + packed, head_dim]."""
    rows = slice(block.start, block.stop)
    native = cache.native[f"{side}s"][layer, rows, :, : block.native]
    if block.packed == 0 and native.dtype == dtype:
        return native
    shape = (*native.shape[:2], block.native + block.packed, native.shape[-1])
    out = cache.scratch.view(side, shape, dtype, cache.device)
    out[:, :, : block.native] = native
    if block.packed == 0:
        return out
    assert cache.packed is not None and cache.packer is not None
    packing = cache.packer.packing
    entries = {
        name: lane.tensor[layer, rows, :, : block.packed // lane.tokens]
        for name, lane in cache.packed.of_side(side).items()
    }
    axis = packing.key_axis if side == "key" else packing.value_axis
    unpack_into(out[:, :, block.native :], entries, packing, axis)
    return out

"""Settling a row whose native slots have come to their mark: pack its oldest block, evict its worst.

A row is settled by itself, from its own tokens alone, all layers and heads at once; so no row's result
depends on its neighbours. What is packed is packed once, and later moves as it is.

A policy that settles has `settles_at`, the native tokens at which it does. One that evicts has `budget`,
`window` and `scores(Row)`; one that packs has `group_size`, `evicts(packed)`, `packed_budget`, `evict`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from actors.kv.eviction import Row, best
from actors.kv_cache.packing import pack, unpack_into

if TYPE_CHECKING:
    from actors.kv_cache.cache import KVCache


def settle(cache: KVCache, row: int) -> None:
    """Bring a row back below its mark."""
    if cache.packed is None:
        _evict_native(cache, row)
        return
    _pack_block(cache, row)
    if cache.policy.evicts(cache.extents[row].packed):
        _evict_packed(cache, row)


def _evict_native(cache: KVCache, row: int) -> None:
    """Keep the newest `window` tokens, and the best of the older ones."""
    policy, extent = cache.policy, cache.extents[row]
    older = extent.native - policy.window
    scores = policy.scores(view(cache, row))[..., :older]
    chosen = best(scores, policy.budget - policy.window)
    newest = torch.arange(older, extent.native, device=cache.device)
    cache.native.keep(row, torch.cat([chosen, newest.expand(*chosen.shape[:2], -1)], -1))
    cache.extents[row] = replace(extent, native=policy.budget)


def _evict_packed(cache: KVCache, row: int) -> None:
    """Keep the best of the packed tokens; the native ones, which are newer, all stay."""
    assert cache.packed is not None
    policy, extent = cache.policy, cache.extents[row]
    scores = policy.evict.scores(view(cache, row))[..., : extent.packed]
    cache.packed.keep(row, best(scores, policy.packed_budget))
    cache.extents[row] = replace(extent, packed=policy.packed_budget)


def _pack_block(cache: KVCache, row: int) -> None:
    """Pack the oldest block of the native slots; the rest moves to the front."""
    assert cache.packed is not None
    extent, size = cache.extents[row], cache.policy.group_size
    oldest = {name: lane.used(row, size) for name, lane in cache.native.lanes.items()}
    for name, made in _packed_lanes(cache, oldest).items():
        lane = cache.packed.lanes[name]
        first = extent.packed // lane.tokens
        lane.tensor[:, row, :, first : first + made.shape[2]] = made
    for lane in cache.native.lanes.values():
        rest = lane.tensor[:, row, :, size : extent.native].clone()
        lane.tensor[:, row, :, : extent.native - size] = rest
    cache.extents[row] = replace(extent, native=extent.native - size, packed=extent.packed + size)


def _packed_lanes(cache: KVCache, native: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The entries of the packed lanes that stand for a block of native ones."""
    assert cache.packed is not None
    packing = cache.policy.packing
    made = {name: lane for name, lane in native.items() if name == "attention"}
    for side, axis in (("key", packing.key_axis), ("value", packing.value_axis)):
        entries = pack(native[f"{side}s"], packing, axis)
        made |= dict(
            zip((f"{side}_codes", f"{side}_scales", f"{side}_zeros"), entries, strict=True)
        )
    return {name: entries for name, entries in made.items() if name in cache.packed.lanes}


def view(cache: KVCache, row: int) -> Row:
    """A row's tokens as its policy scores them, packed ones first."""
    extent = cache.extents[row]
    keys = cache.native["keys"][:, row, :, : extent.native].float()
    attention = None
    if cache.policy.scores_attention:
        attention = cache.native["attention"][:, row, :, : extent.native]
    if cache.packed is not None:
        keys = torch.cat([_unpacked_keys(cache, row), keys], 2)
        if attention is not None:
            old = cache.packed["attention"][:, row, :, : extent.packed]
            attention = torch.cat([old, attention], 2)
    return Row(keys, observed_queries(cache, row), attention)


def _unpacked_keys(cache: KVCache, row: int) -> torch.Tensor:
    assert cache.packed is not None
    packing, tokens = cache.policy.packing, cache.extents[row].packed
    lanes = {name: lane.used(row, tokens) for name, lane in cache.packed.lanes.items()}
    codes = lanes["key_codes"]
    shape = (*codes.shape[:-1], cache.architecture.head_dim)
    keys = torch.empty(shape, device=cache.device)
    zeros = lanes.get("key_zeros")
    unpack_into(keys, codes, lanes["key_scales"], zeros, packing, packing.key_axis)
    return keys


def observed_queries(cache: KVCache, row: int) -> torch.Tensor:
    """The newest queries, oldest first: [layers, kv_heads, group, observed, head_dim], in 32 bit."""
    observed, seen = cache.policy.observed_queries, cache.extents[row].seen
    order = [position % observed for position in range(max(0, seen - observed), seen)]
    return cache.queries[:, row][..., order, :].float()

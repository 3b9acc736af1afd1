"""Compacting a row that holds as many native tokens as its policy allows.

An evicting policy drops its least valuable tokens. A packing policy packs the oldest block, and may then
evict packed tokens. A row is compacted from its own tokens alone, all layers and heads at once, so that no
row's result depends on its neighbours. A token is packed once, and moves in its packed form later.

What is asked of a policy is written down in `actors.kv.protocols`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from actors.kv.eviction import Row, best
from actors.kv.protocols import EvictingPolicy, PackingPolicy
from actors.kv_cache.packing import pack, unpack_into

if TYPE_CHECKING:
    from actors.kv_cache.cache import KVCache
    from raysweep.kv_policy import Axis, Packing


def compact(cache: KVCache, row: int) -> None:
    """Reduce a row to fewer than `compacts_at` native tokens."""
    if cache.evicting is not None:
        _evict_native(cache, row, cache.evicting)
    if cache.packer is not None:
        _pack_block(cache, row, cache.packer)
        _evict_packed(cache, row, cache.packer)


def _evict_native(cache: KVCache, row: int, policy: EvictingPolicy) -> None:
    """Keep the newest `window` tokens, and the best of the older ones."""
    extent = cache.extents[row]
    older = extent.native - policy.window
    scores = policy.scores(view(cache, row))[..., :older]
    chosen = best(scores, policy.budget - policy.window)
    newest = torch.arange(older, extent.native, device=cache.device)
    cache.native.keep(row, torch.cat([chosen, newest.expand(*chosen.shape[:2], -1)], -1))
    cache.extents[row] = replace(extent, native=policy.budget)


def _evict_packed(cache: KVCache, row: int, policy: PackingPolicy) -> None:
    """If there are too many packed tokens, keep the best; the native ones, which are newer, all stay."""
    extent, budget = cache.extents[row], policy.packed_budget
    if policy.evict is None or not policy.evicts(extent.packed):
        return
    assert cache.packed is not None
    scores = policy.evict.scores(view(cache, row))[..., : extent.packed]
    cache.packed.keep(row, best(scores, budget))
    cache.extents[row] = replace(extent, packed=budget)


def _pack_block(cache: KVCache, row: int, policy: PackingPolicy) -> None:
    """Pack the oldest block of the native slots; the rest moves to the front."""
    assert cache.packed is not None
    extent, size = cache.extents[row], policy.group_size
    oldest = {name: lane.used(row, size) for name, lane in cache.native.lanes.items()}
    for name, entries in _packed_entries(oldest, policy.packing).items():
        if name in cache.packed.lanes:  # symmetric packing stores no zero points
            lane = cache.packed.lanes[name]
            first = extent.packed // lane.tokens
            lane.tensor[:, row, :, first : first + entries.shape[2]] = entries
    for lane in cache.native.lanes.values():
        rest = lane.tensor[:, row, :, size : extent.native].clone()
        lane.tensor[:, row, :, : extent.native - size] = rest
    cache.extents[row] = replace(extent, native=extent.native - size, packed=extent.packed + size)


def _packed_entries(native: dict[str, torch.Tensor], packing: Packing) -> dict[str, torch.Tensor]:
    """The entries of packed lanes that a block of native ones becomes; sums of attention stay as they are."""
    made = {name: lane for name, lane in native.items() if name == "attention"}
    axes: dict[str, Axis] = {"key": packing.key_axis, "value": packing.value_axis}
    for side, axis in axes.items():
        entries = pack(native[f"{side}s"], packing, axis)
        names = (f"{side}_codes", f"{side}_scales", f"{side}_zeros")
        made |= dict(zip(names, entries, strict=True))
    return made


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
    assert cache.packed is not None and cache.packer is not None
    packing, tokens = cache.packer.packing, cache.extents[row].packed
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

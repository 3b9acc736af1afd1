"""Compacting a row that holds as many native tokens as its policy allows.

An evicting policy drops its least valuable tokens. A packing policy packs the oldest block behind its sinks,
and may then evict packed tokens. A row is compacted from its own tokens alone, all layers and heads at once,
so that no row's result depends on its neighbours. A token is packed once, and moves in its packed form later.

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
    packed = slice(policy.sinks, policy.sinks + extent.packed)
    scores = policy.evict.scores(view(cache, row))[..., packed]
    cache.packed.keep(row, best(scores, budget))
    cache.extents[row] = replace(extent, packed=budget)


def _pack_block(cache: KVCache, row: int, policy: PackingPolicy) -> None:
    """Pack the oldest block of the native slots behind the sinks; the rest moves to its place."""
    assert cache.packed is not None
    extent, size, first = cache.extents[row], policy.group_size, policy.sinks
    native = {name: lane.used(row, extent.native) for name, lane in cache.native.lanes.items()}
    oldest = {name: lane[:, :, first : first + size] for name, lane in native.items()}
    for name, entries in _packed_entries(oldest, policy.packing).items():
        lane = cache.packed.lanes[name]
        place = extent.packed // lane.tokens
        lane.tensor[:, row, :, place : place + entries.shape[2]] = entries
    for lane in native.values():
        lane[:, :, first : extent.native - size] = lane[:, :, first + size :].clone()
    cache.extents[row] = replace(extent, native=extent.native - size, packed=extent.packed + size)


def _packed_entries(native: dict[str, torch.Tensor], packing: Packing) -> dict[str, torch.Tensor]:
    """The entries of packed lanes that a block of native ones becomes; sums of attention stay as they are."""
    made = {name: lane for name, lane in native.items() if name == "attention"}
    axes: dict[str, Axis] = {"key": packing.key_axis, "value": packing.value_axis}
    for side, axis in axes.items():
        entries = pack(native[f"{side}s"], packing, axis)
        made |= {f"{side}_{name}": entry for name, entry in entries.items()}
    return made


def view(cache: KVCache, row: int) -> Row:
    """A row's tokens as its policy scores them, oldest first."""
    extent = cache.extents[row]
    keys = cache.native["keys"][:, row, :, : extent.native].float()
    attention = None
    if cache.policy.scores_attention:
        attention = cache.native["attention"][:, row, :, : extent.native]
    if cache.packed is not None and cache.packer is not None:
        sinks = cache.packer.sinks
        keys = in_order(keys, _unpacked_keys(cache, row, cache.packer.packing), sinks)
        if attention is not None:
            packed = cache.packed["attention"][:, row, :, : extent.packed]
            attention = in_order(attention, packed, sinks)
    return Row(keys, observed_queries(cache, row), attention)


def in_order(native: torch.Tensor, packed: torch.Tensor, sinks: int) -> torch.Tensor:
    """Entries [layers, kv_heads, tokens, ...] oldest first: the sinks, the packed tokens, all others."""
    return torch.cat([native[:, :, :sinks], packed, native[:, :, sinks:]], 2)


def _unpacked_keys(cache: KVCache, row: int, packing: Packing) -> torch.Tensor:
    assert cache.packed is not None
    tokens, lanes = cache.extents[row].packed, cache.packed.of_side("key")
    entries = {name: lane.used(row, tokens) for name, lane in lanes.items()}
    shape = (*entries["codes"].shape[:-1], cache.architecture.head_dim)
    keys = torch.empty(shape, device=cache.device)
    unpack_into(keys, entries, packing, packing.key_axis)
    return keys


def observed_queries(cache: KVCache, row: int) -> torch.Tensor:
    """The newest queries, oldest first: [layers, kv_heads, group, observed, head_dim], in 32 bit."""
    observed, seen = cache.policy.observed_queries, cache.extents[row].seen
    order = [position % observed for position in range(max(0, seen - observed), seen)]
    return cache.queries[:, row][..., order, :].float()

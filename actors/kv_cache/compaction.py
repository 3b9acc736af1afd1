"""Compacting rows that hold as many native tokens as their policy allows.

An evicting policy drops its least valuable tokens. A packing policy packs the oldest block behind its sinks,
and may then evict packed tokens. A row is compacted from its own tokens alone, so no row's result depends on
its neighbours (see `parts` for what is computed together). A token is packed once, and moves in its packed
form later.

What is asked of a policy is written down in `actors.kv.protocols`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from actors.kv.eviction import Row, best
from actors.kv.protocols import EvictingPolicy, PackingPolicy
from actors.kv_cache.packing import pack, unpack_into
from actors.kv_cache.parts import Part, on_device, parts_of
from actors.kv_cache.rollback import note_dropped

if TYPE_CHECKING:
    from actors.kv_cache.cache import KVCache
    from raysweep.kv_policy import Axis, Packing


def compact(cache: KVCache, rows: Sequence[int]) -> None:
    """Reduce rows that hold `compacts_at` native tokens to fewer."""
    if cache.evicting is not None:
        _evict_native(cache, rows, cache.evicting)
    if cache.packer is not None:
        _pack_block(cache, rows, cache.packer)
        _evict_packed(cache, rows, cache.packer)


def _evict_native(cache: KVCache, rows: Sequence[int], policy: EvictingPolicy) -> None:
    """Keep the newest `window` tokens, and the best of the older ones."""
    tokens = policy.compacts_at
    older = tokens - policy.window
    newest = torch.arange(older, tokens, device=cache.device)
    for part in parts_of(cache, rows):
        scores = policy.scores(view(cache, part))[..., :older]
        chosen = best(scores, policy.budget - policy.window)
        kept = torch.cat([chosen, newest.to(chosen.dtype).expand(*chosen.shape[:2], -1)], -1)
        note_dropped(cache, part, kept, tokens)
        cache.native.keep(part, kept, tokens)
    for row in rows:
        cache.extents[row] = replace(cache.extents[row], native=policy.budget)


def _evict_packed(cache: KVCache, rows: Sequence[int], policy: PackingPolicy) -> None:
    """Where there are too many packed tokens, keep the best; the native ones, which are newer, all stay."""
    if policy.evict is None:
        return
    assert cache.packed is not None
    due: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        if policy.evicts(packed := cache.extents[row].packed):
            due[packed].append(row)
    for packed, alike in due.items():
        scored = slice(policy.sinks, policy.sinks + packed)
        for part in parts_of(cache, alike):
            scores = policy.evict.scores(view(cache, part))[..., scored]
            cache.packed.keep(part, best(scores, policy.packed_budget), packed)
        for row in alike:
            cache.extents[row] = replace(cache.extents[row], packed=policy.packed_budget)


def _pack_block(cache: KVCache, rows: Sequence[int], policy: PackingPolicy) -> None:
    """Pack the oldest block of the native slots behind the sinks; the rest moves to its place."""
    assert cache.packed is not None
    size, first, native = policy.group_size, policy.sinks, policy.compacts_at
    for part in parts_of(cache, rows):
        places = [cache.extents[row].packed for row in part.rows]
        if part.index is None:
            _pack_by_torch(cache, part, places, policy)
        else:
            _pack_by_kernel(cache, part, places, policy)
        if cache.policy.scores_attention:
            sums = part.read(cache.native["attention"], first, first + size)
            part.write(cache.packed["attention"], places, sums)
        for lane in cache.native.lanes.values():
            rest = part.read(lane.tensor, first + size, native).clone()
            part.write(lane.tensor, [first] * len(part.rows), rest)
    for row in rows:
        extent = cache.extents[row]
        cache.extents[row] = replace(extent, native=native - size, packed=extent.packed + size)


def _pack_by_torch(
    cache: KVCache, part: Part, places: Sequence[int], policy: PackingPolicy
) -> None:
    """Pack the oldest block of a row behind its packed tokens, of which there are `places`."""
    assert cache.packed is not None
    block = policy.sinks, policy.sinks + policy.group_size
    for side, axis in _axes(policy.packing).items():
        numbers = part.read(cache.native[f"{side}s"], *block)
        lanes = cache.packed.of_side(side)
        for name, entries in pack(numbers, policy.packing, axis).items():
            starts = [place // lanes[name].tokens for place in places]
            part.write(lanes[name].tensor, starts, entries)


def _axes(packing: Packing) -> dict[str, Axis]:
    return {"key": packing.key_axis, "value": packing.value_axis}


def _pack_by_kernel(
    cache: KVCache, part: Part, places: Sequence[int], policy: PackingPolicy
) -> None:
    """The same for several rows in one layer."""
    from actors.kernels.pack import pack as pack_rows

    assert cache.packed is not None and part.index is not None
    block = slice(policy.sinks, policy.sinks + policy.group_size)
    starts = on_device(tuple(places), torch.int32, cache.device)
    for side, axis in _axes(policy.packing).items():
        native = cache.native[f"{side}s"][part.layers][:, :, block]
        lanes = {
            name: lane.tensor[part.layers] for name, lane in cache.packed.of_side(side).items()
        }
        pack_rows(native, part.index, starts, lanes, policy.packing, axis)


def view(cache: KVCache, part: Part) -> Row:
    """A part's tokens as their policy scores them, oldest first. Its rows have equal extents."""
    extent = cache.extents[part.rows[0]]
    keys = part.read(cache.native["keys"], 0, extent.native)
    if part.index is None:
        keys = keys.float()
    attention = None
    if cache.policy.scores_attention:
        attention = part.read(cache.native["attention"], 0, extent.native)
    if cache.packed is not None and cache.packer is not None:
        sinks = cache.packer.sinks
        keys = in_order(keys.float(), _unpacked_keys(cache, part, cache.packer.packing), sinks)
        if attention is not None:
            packed = part.read(cache.packed["attention"], 0, extent.packed)
            attention = in_order(attention, packed, sinks)
    return Row(keys, observed_queries(cache, part), attention)


def in_order(native: torch.Tensor, packed: torch.Tensor, sinks: int) -> torch.Tensor:
    """Entries [n, kv_heads, tokens, ...] oldest first: the sinks, the packed tokens, all others."""
    return torch.cat([native[:, :, :sinks], packed, native[:, :, sinks:]], 2)


def _unpacked_keys(cache: KVCache, part: Part, packing: Packing) -> torch.Tensor:
    assert cache.packed is not None
    tokens, lanes = cache.extents[part.rows[0]].packed, cache.packed.of_side("key")
    entries = {
        name: part.read(lane.tensor, 0, tokens // lane.tokens) for name, lane in lanes.items()
    }
    shape = (*entries["codes"].shape[:-1], cache.architecture.head_dim)
    keys = torch.empty(shape, device=cache.device)
    unpack_into(keys, entries, packing, packing.key_axis)
    return keys


def observed_queries(cache: KVCache, part: Part) -> torch.Tensor:
    """The newest queries, oldest first: [n, kv_heads, group, observed, head_dim], in 32 bit."""
    ring = cache.policy.observed_queries
    newest = min(ring, min(cache.extents[row].seen for row in part.rows))
    orders = tuple(
        tuple(position % ring for position in range(seen - newest, seen))
        for seen in (cache.extents[row].seen for row in part.rows)
    )
    if part.index is None:
        return cache.queries[part.layers, part.rows[0]][..., list(orders[0]), :].float()
    queries = cache.queries[part.layers].index_select(0, part.index)
    order = on_device(orders, torch.long, cache.device)[:, None, None, :, None]
    return queries.gather(3, order.expand(*queries.shape[:3], -1, queries.shape[-1])).float()

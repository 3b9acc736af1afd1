"""Rolling a row back to what it was before it was fed the answer at a budget.

A fork is not a copy. The row itself is fed the forced closing and the answer, and is then rolled back. Only
what those tokens overwrite is saved:

    every policy           the observed queries, and sums of attention if there are any
    ring                   the tokens in the slots that come next
    evicting               each compaction leaves a note of the tokens that it drops and of their places
    packing                the native tokens; the packed ones too, if some may be evicted meanwhile

Where an evicting policy would drop more tokens than the row holds, the row is copied instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from actors import kernels
from actors.kv_cache.parts import Part, on_device
from actors.kv_cache.slots import along
from raysweep.memory import round_up

if TYPE_CHECKING:
    from actors.kv_cache.cache import Extent, KVCache


@dataclass(frozen=True)
class Dropped:
    """What one compaction drops of a row.

    places   [layers, kv_heads, dropped], oldest first, of the `tokens` that the row held
    entries  of each native lane [layers, kv_heads, dropped, ...]
    """

    tokens: int
    places: torch.Tensor
    entries: dict[str, torch.Tensor]


@dataclass(frozen=True)
class Saved:
    """A row as it was: its extent, and what up to `ahead` more tokens may overwrite.

    It can be restored into another row if the sequence has moved there.

    dropped  filled by the compactions until then
    """

    extent: Extent
    ahead: int
    contents: tuple[torch.Tensor, ...]
    dropped: list[Dropped] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """Bytes that are set aside now."""
        dropped = [each for one in self.dropped for each in (one.places, *one.entries.values())]
        return sum(tensor.nbytes for tensor in (*self.contents, *dropped))


def save(cache: KVCache, row: int, ahead: int) -> Saved:
    """What is needed to roll the row back after up to `ahead` more tokens."""
    contents = tuple(tensor[place].clone() for tensor, place in _overwritten(cache, row, ahead))
    saved = Saved(cache.extents[row], ahead, contents)
    if _leaves_notes(cache, row, ahead):
        cache.notes[row] = saved.dropped
    return saved


def restore(cache: KVCache, row: int, saved: Saved) -> None:
    """Give a row the state that was saved."""
    for dropped in reversed(saved.dropped):
        _put_back(cache, row, dropped)
    cache.extents[row], cache.notes[row] = saved.extent, None
    overwritten = _overwritten(cache, row, saved.ahead)
    for (tensor, place), content in zip(overwritten, saved.contents, strict=True):
        tensor[place] = content


def _compacts_within(cache: KVCache, row: int, ahead: int) -> bool:
    at = cache.compacts_at
    return at is not None and cache.extents[row].native + ahead >= at


def _leaves_notes(cache: KVCache, row: int, ahead: int) -> bool:
    """Whether compactions note what they drop; they do where that is less than a copy of the row."""
    if cache.evicting is None or not _compacts_within(cache, row, ahead):
        return False
    buffer = cache.evicting.buffer
    return (ahead // buffer + 1) * buffer < cache.extents[row].native


def _overwritten(cache: KVCache, row: int, ahead: int) -> Iterator[tuple[torch.Tensor, Any]]:
    """Tensors, and where in them the next `ahead` tokens of a row may write; the same for an equal extent."""
    extent = cache.extents[row]
    yield cache.queries, (slice(None), row)
    lanes = cache.native.lanes
    if _compacts_within(cache, row, ahead):
        if not _leaves_notes(cache, row, ahead):
            yield from _tokens(lanes.values(), row, extent.native)
        if cache.packed is not None and _evicts_within(cache, row, ahead):
            yield from _tokens(cache.packed.lanes.values(), row, extent.packed)
    elif cache.ring is not None:
        slots = {cache.ring.slot(extent.seen + step) for step in range(ahead)}
        held = tuple(sorted(slot for slot in slots if slot < extent.native))
        index = on_device(held, torch.long, cache.device)
        for lane in lanes.values():
            yield lane.tensor, (slice(None), row, slice(None), index)
    if cache.policy.scores_attention:
        for slots, tokens in cache.stores(row):
            yield from _tokens([slots.lanes["attention"]], row, tokens)


def _tokens(lanes: Any, row: int, tokens: int) -> Iterator[tuple[torch.Tensor, Any]]:
    for lane in lanes:
        yield lane.tensor, (slice(None), row, slice(None), slice(0, tokens // lane.tokens))


def _evicts_within(cache: KVCache, row: int, ahead: int) -> bool:
    """Whether packed tokens may be evicted within `ahead` more tokens."""
    packer = cache.packer
    if packer is None:
        return False
    return packer.evicts(cache.extents[row].packed + round_up(ahead, packer.group_size))


def note_dropped(cache: KVCache, part: Part, kept: torch.Tensor, tokens: int) -> None:
    """Note what a compaction is about to drop of the part's rows, where it may be wanted back.

    kept  places [n, kv_heads, count] of the tokens that stay, oldest first
    """
    for number, row in enumerate(part.rows):
        notes = cache.notes[row]
        if notes is None:
            continue
        own = kept if part.index is None else kept[number : number + 1]
        places = others(own.long(), tokens)
        layers = part.layers_slice
        if layers.start in (None, 0):
            notes.append(_room_for(cache, tokens, places.shape[-1]))
        notes[-1].places[layers] = places.int()
        for name, lane in cache.native.lanes.items():
            entries = lane.tensor[layers, row]
            notes[-1].entries[name][layers] = entries.gather(2, along(places, entries))


def _room_for(cache: KVCache, tokens: int, dropped: int) -> Dropped:
    a, device = cache.architecture, cache.device
    shape = (a.layers, a.kv_heads, dropped)
    entries = {
        name: torch.empty(*shape, *lane.tensor.shape[4:], dtype=lane.tensor.dtype, device=device)
        for name, lane in cache.native.lanes.items()
    }
    return Dropped(tokens, torch.empty(shape, dtype=torch.int32, device=device), entries)


def _put_back(cache: KVCache, row: int, dropped: Dropped) -> None:
    """Undo a compaction: spread what it kept over its former places, and put what it dropped between."""
    # A GPU takes layer by layer, to need less memory.
    step = 1 if kernels.used_on(cache.device) else cache.architecture.layers
    for start in range(0, cache.architecture.layers, step):
        layers = slice(start, start + step)
        places = dropped.places[layers].long()
        kept = others(places, dropped.tokens)
        for name, lane in cache.native.lanes.items():
            entries = lane.tensor[layers, row]
            front = entries[:, :, : kept.shape[-1]].clone()
            entries.scatter_(2, along(kept, entries), front)
            entries.scatter_(2, along(places, entries), dropped.entries[name][layers])


def others(places: torch.Tensor, tokens: int) -> torch.Tensor:
    """The places among `tokens` that are not in places [..., n], ascending: [..., tokens - n]."""
    taken = torch.zeros(*places.shape[:-1], tokens, dtype=torch.uint8, device=places.device)
    taken.scatter_(-1, places, 1)
    free_first = taken.sort(dim=-1, stable=True).indices
    return free_first[..., : tokens - places.shape[-1]]

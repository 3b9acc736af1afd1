"""A prompt's keys and values, and how a row begins with them.

A prompt is prefilled with the full cache: each of its tokens attends to all before it. The row then
appends and compacts as if these tokens had come one by one. So a row's bytes depend on the number of
tokens that it has seen, and on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from actors.kv_cache.cache import Extent
from actors.kv_cache.compaction import compact, view
from actors.kv_cache.parts import Part, parts_of

if TYPE_CHECKING:
    from actors.kv.protocols import RingPolicy
    from actors.kv_cache.cache import KVCache

QUERIES = 512  # of a prompt whose attention is summed at a time


@dataclass(frozen=True)
class PromptKV:
    """Keys and values [layers, kv_heads, tokens, head_dim].

    Queries [layers, kv_heads, group, tokens, head_dim], only for policies that observe them.
    """

    keys: torch.Tensor
    values: torch.Tensor
    queries: torch.Tensor | None

    @property
    def tokens(self) -> int:
        return self.keys.shape[2]


def start_row(cache: KVCache, row: int, prompt: PromptKV) -> None:
    """Begin a row with a prompt."""
    cache.clear(row)
    if cache.ring is not None:
        _fill_ring(cache, row, prompt, cache.ring)
        return
    compacts_at = cache.compacts_at
    while (seen := cache.extents[row].seen) < prompt.tokens:
        room = prompt.tokens
        if compacts_at is not None:
            room = compacts_at - cache.extents[row].native
        _append(cache, row, prompt, seen, min(prompt.tokens, seen + room))
        if cache.extents[row].native == compacts_at:
            compact(cache, [row])


@dataclass(frozen=True)
class Settled:
    """All that a row holds after its prompt, for other rows that begin with the same one."""

    extent: Extent
    contents: tuple[torch.Tensor, ...]

    @property
    def nbytes(self) -> int:
        return sum(content.nbytes for content in self.contents)


def settled(cache: KVCache, row: int) -> Settled:
    """A copy of what the row holds."""
    return Settled(cache.extents[row], tuple(own.clone() for own in _all_of(cache, row)))


def start_like(cache: KVCache, row: int, prompt: Settled) -> None:
    """Begin a row as another has begun; nothing is compacted anew."""
    cache.extents[row] = prompt.extent
    for own, content in zip(_all_of(cache, row), prompt.contents, strict=True):
        own.copy_(content)


def _all_of(cache: KVCache, row: int) -> tuple[torch.Tensor, ...]:
    """Views of what a row holds and of the queries that it observes."""
    return (*cache.held(row), cache.queries[:, row])


def _append(cache: KVCache, row: int, prompt: PromptKV, first: int, last: int) -> None:
    """Append the prompt's tokens from `first` to `last`, with what the policy observes of them."""
    extent = cache.extents[row]
    at = slice(extent.native, extent.native + last - first)
    cache.native["keys"][:, row, :, at] = prompt.keys[:, :, first:last]
    cache.native["values"][:, row, :, at] = prompt.values[:, :, first:last]
    cache.advance(row, last - first)
    if cache.policy.scores_attention:
        cache.native["attention"][:, row, :, at] = 0.0
        _count_attention(cache, row, prompt, first, last)
    observed = cache.policy.observed_queries
    if observed:
        assert prompt.queries is not None
        for position in range(max(first, last - observed), last):
            query = prompt.queries[..., position, :]
            cache.queries[:, row, :, :, position % observed] = query


def _count_attention(cache: KVCache, row: int, prompt: PromptKV, first: int, last: int) -> None:
    """Add the attention that the prompt's tokens from `first` to `last` pay to what the row holds."""
    assert prompt.queries is not None
    held, new = cache.extents[row].native + cache.extents[row].packed, last - first
    later = torch.ones(new, held, dtype=torch.bool, device=cache.device).triu(held - new + 1)
    received = torch.stack(
        [
            _received(queries[..., first:last, :].float(), keys, later)
            for part in parts_of(cache, [row])
            for queries, keys in zip(
                prompt.queries[part.layers_slice], _keys(cache, part), strict=True
            )
        ]
    )
    if cache.packed is not None and cache.packer is not None:
        first, packed = cache.packer.sinks, cache.extents[row].packed
        sinks, old, newest = received.tensor_split((first, first + packed), -1)
        cache.packed["attention"][:, row, :, :packed] += old
        received = torch.cat([sinks, newest], -1)
    cache.native["attention"][:, row, :, : received.shape[-1]] += received


def _keys(cache: KVCache, part: Part) -> torch.Tensor:
    """[layers of the part, kv_heads, held, head_dim], oldest first, in 32 bit."""
    return view(cache, part).keys.float()


def _received(queries: torch.Tensor, keys: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """[kv_heads, held] from queries [kv_heads, group, new, head_dim] and keys [kv_heads, held, head_dim].

    Some queries are taken at a time, because the attention of all of a long prompt takes too much memory.
    """
    scaled, total = keys.unsqueeze(1).transpose(-1, -2) * keys.shape[-1] ** -0.5, 0.0
    for some, own in zip(queries.split(QUERIES, 2), hidden.split(QUERIES), strict=True):
        weights = (some @ scaled).masked_fill_(own, float("-inf")).softmax(-1)
        total = total + weights.sum((1, 2))
    assert isinstance(total, torch.Tensor)
    return total


def _fill_ring(cache: KVCache, row: int, prompt: PromptKV, ring: RingPolicy) -> None:
    """Keep the newest of the tokens that share a slot."""
    position_at = {ring.slot(position): position for position in range(prompt.tokens)}
    slots, positions = list(position_at), list(position_at.values())
    cache.native["keys"][:, row][:, :, slots] = prompt.keys[:, :, positions]
    cache.native["values"][:, row][:, :, slots] = prompt.values[:, :, positions]
    cache.advance(row, prompt.tokens)

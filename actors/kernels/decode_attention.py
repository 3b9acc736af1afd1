"""Attention of one decoding step in one layer, over everything that the rows hold.

    native_attention    a partial result of each split of native slots
    packed_attention    the same of packed slots, if the policy packs
    join_attention      the rows' attention
    received_attention  what each token has received, if the policy sums it

The partial results lie in scratch memory that all layers and steps share. It depends on nothing but the
cache's capacity, so a recorded step can be run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from actors.kernels.join_attention import join_attention
from actors.kernels.native_attention import SPLIT, native_attention, native_splits
from actors.kernels.packed_attention import packed_attention, packed_split, packed_splits
from actors.kernels.received_attention import received_attention
from raysweep.kv_policy import Packing


@dataclass(frozen=True)
class AttentionShape:
    """What the scratch memory follows from: capacities in tokens, heads per row.

    packing            None if no slots are packed
    scores_attention   whether the attention that tokens receive is summed
    """

    rows: int
    kv_heads: int
    group: int
    head_dim: int
    native: int
    packed: int = 0
    packing: Packing | None = None
    scores_attention: bool = False

    @property
    def native_splits(self) -> int:
        return native_splits(self.native)

    @property
    def splits(self) -> int:
        packed = 0 if self.packing is None else packed_splits(self.packing, self.packed)
        return self.native_splits + packed

    @property
    def nbytes(self) -> int:
        """The bytes of the scratch memory."""
        numbers = self.splits * (self.head_dim + 1)
        if self.scores_attention:
            numbers += self.native + self.packed + 1
        return 4 * self.rows * self.kv_heads * self.group * numbers


@dataclass(frozen=True)
class AttentionScratch:
    """Undefined content between two calls; all in 32 bit.

    results  [rows, kv_heads, splits, group, head_dim]
    lse      [rows, kv_heads, splits, group]
    logits   [rows, kv_heads, group, native + packed slots]; None unless attention is summed
    row_lse  [rows, kv_heads * group]; None unless attention is summed
    """

    shape: AttentionShape
    results: torch.Tensor
    lse: torch.Tensor
    logits: torch.Tensor | None
    row_lse: torch.Tensor | None

    @classmethod
    def of(cls, shape: AttentionShape, device: torch.device) -> AttentionScratch:
        def empty(*numbers: int) -> torch.Tensor:
            return torch.empty(shape.rows, *numbers, device=device)

        partial = (shape.kv_heads, shape.splits, shape.group)
        logits = row_lse = None
        if shape.scores_attention:
            logits = empty(shape.kv_heads, shape.group, shape.native + shape.packed)
            row_lse = empty(shape.kv_heads * shape.group)
        return cls(shape, empty(*partial, shape.head_dim), empty(*partial), logits, row_lse)


def decode_attention(
    q: torch.Tensor,
    slots: torch.Tensor,
    native: Mapping[str, torch.Tensor],
    native_lengths: torch.Tensor,
    scratch: AttentionScratch,
    packed: Mapping[str, torch.Tensor] | None = None,
    packed_lengths: torch.Tensor | None = None,
) -> torch.Tensor:
    """The rows' attention [n, heads * head_dim] in q's type; zeros for a row that holds nothing.

    q               [n, heads, head_dim], rotated
    slots           [n], int32: -1 for rows beyond the batch, which add nothing to sums of attention
    native, packed  the lanes of one layer by name, see `actors.kv_cache.slots`
    native_lengths, packed_lengths  [n], int32: how many tokens each row holds, with the new one
    """
    shape, partial = scratch.shape, (scratch.results, scratch.lse)
    keys, values = native["keys"], native["values"]
    native_attention(q, keys, values, native_lengths, *partial, scratch.logits)
    out = torch.empty_like(q).flatten(1)
    joined = (*partial, native_lengths, SPLIT, out, scratch.row_lse)
    if packed is None or packed_lengths is None or shape.packing is None:
        join_attention(*joined)
    else:
        behind = (shape.native_splits, scratch.logits, shape.native)
        packed_attention(q, packed, shape.packing, packed_lengths, *partial, *behind)
        join_attention(*joined, packed_lengths, packed_split(shape.packing), shape.native_splits)
    if scratch.logits is not None and scratch.row_lse is not None:
        sums = (native["attention"], native_lengths)
        packed_sums = () if packed is None else (packed["attention"], packed_lengths)
        received_attention(scratch.logits, scratch.row_lse, slots, *sums, *packed_sums)
    return out

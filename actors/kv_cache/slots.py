"""Slots: the tensors in which rows keep tokens, in 16 bit or packed.

All are allocated ahead, as [layers, rows, kv_heads, entries, ...]. A lane is one such tensor. Each of its
entries stands for one token, or for a group of tokens (the scales of a channel-wise group). Growing,
viewing and gathering are the same for every lane, so they are written once, here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from raysweep.kv_policy import Axis, Packing
from raysweep.spec import Architecture

if TYPE_CHECKING:
    from actors.kv_cache.parts import Part


@dataclass
class Lane:
    """One tensor of a store; an entry stands for `tokens` tokens."""

    tensor: torch.Tensor
    tokens: int = 1

    def used(self, row: int, tokens: int) -> torch.Tensor:
        """The entries of `tokens` tokens of a row: a view, [layers, kv_heads, entries, ...]."""
        return self.tensor[:, row, :, : tokens // self.tokens]


class Slots:
    """Named lanes of equal capacity, in tokens."""

    def __init__(self, lanes: dict[str, Lane]):
        self.lanes = lanes
        self.capacity = 0

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.lanes[name].tensor

    def of_side(self, side: str) -> dict[str, Lane]:
        """The packed lanes of the `key` or `value` side as `codes`, `scales` and perhaps `zeros`."""
        mark = f"{side}_"
        own = ((name, lane) for name, lane in self.lanes.items() if name.startswith(mark))
        return {name.removeprefix(mark): lane for name, lane in own}

    def reserve(self, tokens: int) -> None:
        """Grow every row to `tokens` tokens; what they hold is kept."""
        if tokens <= self.capacity:
            return
        for lane in self.lanes.values():
            layers, rows, kv_heads, entries, *rest = lane.tensor.shape
            shape = (layers, rows, kv_heads, -(-tokens // lane.tokens), *rest)
            grown = torch.zeros(shape, dtype=lane.tensor.dtype, device=lane.tensor.device)
            grown[:, :, :, :entries] = lane.tensor
            lane.tensor = grown
        self.capacity = tokens

    def used(self, row: int, tokens: int) -> Iterator[torch.Tensor]:
        """Views of what a row with `tokens` tokens holds."""
        return (lane.used(row, tokens) for lane in self.lanes.values())

    def keep(self, part: Part, chosen: torch.Tensor, tokens: int) -> None:
        """Move the `chosen` of the part's first `tokens` tokens to the front, in that order.

        chosen  [n, kv_heads, count], oldest first
        """
        if part.index is not None:
            from actors.kernels.gather import gather

            for lane in self.lanes.values():
                gather(lane.tensor[part.layers], part.index, chosen)
            return
        for lane in self.lanes.values():
            entries = part.read(lane.tensor, 0, tokens)
            kept = entries.gather(2, along(chosen, entries))
            part.write(lane.tensor, [0] * len(part.rows), kept)


def along(places: torch.Tensor, entries: torch.Tensor) -> torch.Tensor:
    """Places [n, kv_heads, count] as an index along dimension 2 of entries [n, kv_heads, slots, ...]."""
    index = places.reshape(*places.shape, *[1] * (entries.ndim - 3))
    return index.expand(*places.shape, *entries.shape[3:])


def native_slots(
    a: Architecture, rows: int, storage: torch.dtype, device: torch.device, attention: bool
) -> Slots:
    """Lanes `keys` and `values` in `storage`, and `attention` in 32 bit if it is wanted."""
    shape = (a.layers, rows, a.kv_heads, 0)
    lanes = {
        name: Lane(torch.zeros(*shape, a.head_dim, dtype=storage, device=device))
        for name in ("keys", "values")
    }
    return Slots(lanes | _attention_lane(shape, device, attention))


def packed_slots(
    a: Architecture, rows: int, packing: Packing, device: torch.device, attention: bool
) -> Slots:
    """Lanes `<side>_codes`, `<side>_scales` and, with zero points, `<side>_zeros` for keys and values."""
    shape = (a.layers, rows, a.kv_heads, 0)
    lanes = {}
    axes: dict[str, Axis] = {"key": packing.key_axis, "value": packing.value_axis}
    for side, axis in axes.items():
        width = a.head_dim * packing.bits // 8
        codes = torch.zeros(*shape, width, dtype=torch.uint8, device=device)
        lanes[f"{side}_codes"] = Lane(codes)
        for name in ("scales", "zeros") if packing.zero_points else ("scales",):
            lanes[f"{side}_{name}"] = _group_lane(a.head_dim, packing, axis, shape, device)
    return Slots(lanes | _attention_lane(shape, device, attention))


def _group_lane(
    head_dim: int, packing: Packing, axis: Axis, shape: tuple[int, ...], device: torch.device
) -> Lane:
    if axis == "channel":
        groups, tokens = head_dim, packing.group_size
    else:
        groups, tokens = head_dim // min(packing.group_size, head_dim), 1
    return Lane(torch.zeros(*shape, groups, dtype=torch.float16, device=device), tokens)


def _attention_lane(shape: tuple[int, ...], device: torch.device, wanted: bool) -> dict[str, Lane]:
    return {"attention": Lane(torch.zeros(shape, device=device))} if wanted else {}


class Scratch:
    """The memory in which a block is widened, used again for every block, layer and step."""

    def __init__(self) -> None:
        self.buffers: dict[str, torch.Tensor] = {}

    def view(
        self, name: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
    ) -> torch.Tensor:
        """A tensor of that shape with undefined content, valid until the name is asked for again."""
        numbers = math.prod(shape)
        if name not in self.buffers or self.buffers[name].numel() < numbers:
            self.buffers[name] = torch.empty(numbers, dtype=dtype, device=device)
        return self.buffers[name][:numbers].view(shape)

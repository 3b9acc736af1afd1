"""Packed lanes of one layer with random content, and the numbers that they stand for."""

import math

import torch

from actors.kv_cache.packing import pack, unpack_into
from actors.kv_cache.slots import packed_slots
from raysweep.kv_policy import Axis, Levels, Packing
from raysweep.memory import SLOT_BLOCK, round_up
from raysweep.spec import Architecture

Lanes = dict[str, torch.Tensor]

LAYOUTS: dict[str, tuple[Axis, Axis, Levels]] = {
    "hqq along tokens": ("channel", "channel", "hqq"),
    "hqq": ("token", "token", "hqq"),
    "kivi": ("channel", "token", "min_max"),
    "symmetric along tokens": ("channel", "channel", "symmetric"),
    "symmetric": ("token", "token", "symmetric"),
}


def packing_of(layout: str, bits: int, group_size: int) -> Packing:
    return Packing(bits, group_size, *LAYOUTS[layout])


def random_lanes(
    packing: Packing, rows: int, kv_heads: int, tokens: int, head_dim: int, seed: int
) -> Lanes:
    """Every code, and numbers of about 1 on both sides of 0; capacity for at least `tokens`."""
    generator = torch.Generator().manual_seed(seed)
    capacity = round_up(tokens, math.lcm(SLOT_BLOCK, packing.group_size))
    a = Architecture(0, 1, kv_heads, kv_heads, head_dim, 0, 0, True, 0)
    slots = packed_slots(a, rows, packing, torch.device("cpu"), False)
    slots.reserve(capacity)
    lanes = {name: lane.tensor[0] for name, lane in slots.lanes.items()}
    for name, lane in lanes.items():
        uniform = torch.rand(lane.shape, generator=generator)
        top = 2**packing.bits - 1
        if name.endswith("codes"):
            lane.random_(0, 256, generator=generator)
        elif name.endswith("scales"):
            lane[:] = (0.2 + uniform) * 3 / top
        else:
            lane[:] = uniform * top if packing.levels == "hqq" else -3 * uniform
    return lanes


def packed_lanes(packing: Packing, keys: torch.Tensor, values: torch.Tensor) -> Lanes:
    """Keys and values [rows, kv_heads, tokens, head_dim], packed in blocks of a group's tokens."""
    lanes = {}
    axes: dict[str, Axis] = {"key": packing.key_axis, "value": packing.value_axis}
    for (side, axis), numbers in zip(axes.items(), (keys, values), strict=True):
        blocks = numbers.unflatten(2, (-1, packing.group_size))
        for name, part in pack(blocks, packing, axis).items():
            lanes[f"{side}_{name}"] = part.flatten(2, 3).contiguous()
    return lanes


def numbers_of(lanes: Lanes, packing: Packing, side: str, row: int, tokens: int) -> torch.Tensor:
    """A row's keys or values [kv_heads, tokens, head_dim] in 64 bit."""
    axis = packing.key_axis if side == "key" else packing.value_axis
    _, kv_heads, _, width = lanes[f"{side}_codes"].shape
    out = torch.empty(kv_heads, tokens, width * 8 // packing.bits, dtype=torch.float64)
    entries = {}
    for name in ("codes", "scales", "zeros"):
        if (lane := lanes.get(f"{side}_{name}")) is not None:
            whole = axis == "channel" and name != "codes"
            entries[name] = lane[row, :, : tokens // packing.group_size if whole else tokens]
    unpack_into(out, entries, packing, axis)
    return out

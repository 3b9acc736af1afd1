"""Packing numbers into few bits, and back, group by group. With top = 2^bits - 1:

    levels     value                  made of a group's numbers x
    symmetric  (code - half) * scale  half = 2^(bits - 1) - 1, scale = max |x| / half
    min_max    code * scale + zero    zero = min x, scale = (max x - min x) / top
    hqq        (code - zero) * scale  see `half_quadratic`

One of the symmetric levels is 0, so one of the 2^bits codes is not used: 15 levels at 4 bits, 3 at 2 bits.
Scales and zero points are stored in 16 bit. Codes are chosen for them as stored, but with hqq as computed,
which is what its library does. A byte holds 8 / bits channels that are head_dim * bits / 8 apart, so that
unpacking writes long runs.
"""

from collections.abc import Callable

import torch

from actors.kv_cache.half_quadratic import half_quadratic
from raysweep.kv_policy import Axis, Levels, Packing

CPU_NUMBERS = 1 << 16  # refined at a time on a CPU, so that they stay in a core's cache

Parts = tuple[torch.Tensor, ...]


def pack(x: torch.Tensor, packing: Packing, axis: Axis) -> dict[str, torch.Tensor]:
    """`codes` (uint8), `scales` and perhaps `zeros` (fp16) of a block, in the shapes of `slots`.

    x [..., tokens, head_dim], the tokens that are packed together
    """
    grouped, dim = _grouped(x.float(), packing, axis)
    codes, *rest = _PACKED[packing.levels](grouped, dim, packing.bits)
    packed = _into_bytes(codes.to(torch.uint8).reshape(x.shape), packing.bits)
    names = ("scales", "zeros")[: len(rest)]
    stored = (part.half().squeeze(dim) for part in rest)
    return {"codes": packed, **dict(zip(names, stored, strict=True))}


def _symmetric(x: torch.Tensor, dim: int, bits: int) -> Parts:
    scale = (x.abs().amax(dim, keepdim=True) / _half(bits)).half()
    return (x / _step(scale)).round().clamp(-_half(bits), _half(bits)) + _half(bits), scale


def _min_max(x: torch.Tensor, dim: int, bits: int) -> Parts:
    low, high, top = x.amin(dim, keepdim=True), x.amax(dim, keepdim=True), 2**bits - 1
    scale, zero = ((high - low) / top).half(), low.half()
    return ((x - zero.float()) / _step(scale)).round().clamp(0, top), scale, zero


def _hqq(x: torch.Tensor, dim: int, bits: int) -> Parts:
    blocks = max(1, CPU_NUMBERS // x[0].numel()) if x.device.type == "cpu" else len(x)
    parts = [half_quadratic(part, dim, 2**bits - 1) for part in x.split(blocks)]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


_PACKED: dict[Levels, Callable[[torch.Tensor, int, int], Parts]] = {
    "symmetric": _symmetric,
    "min_max": _min_max,
    "hqq": _hqq,
}


def _half(bits: int) -> int:
    """Levels on each side of 0, which is also the code of 0."""
    return 2 ** (bits - 1) - 1


def _step(scale: torch.Tensor) -> torch.Tensor:
    """The stored scale to divide by: 1 for a group whose numbers are all equal."""
    return torch.where(scale == 0, 1, scale.float())


def unpack_into(
    out: torch.Tensor, entries: dict[str, torch.Tensor], packing: Packing, axis: Axis
) -> None:
    """Write the numbers of packed `entries` [..., tokens, ...] into out [..., tokens, head_dim]."""
    codes, parts = entries["codes"], 8 // packing.bits
    if parts == 1:
        out.copy_(codes)
    else:
        width, mask = codes.shape[-1], 2**packing.bits - 1
        for part in range(parts):
            shifted = codes >> (part * packing.bits) if part else codes
            out[..., part * width : (part + 1) * width] = shifted & mask
    grouped, dim = _grouped(out, packing, axis)
    scale = entries["scales"].to(out.dtype).unsqueeze(dim)
    if packing.zero_points:
        grouped.mul_(scale).add_(_least(entries, packing).to(out.dtype).unsqueeze(dim))
    else:
        grouped.sub_(_half(packing.bits)).mul_(scale)


def _least(entries: dict[str, torch.Tensor], packing: Packing) -> torch.Tensor:
    """The value of each group's code 0, in 32 bit: a zero point of hqq can be too large to lose digits."""
    zeros = entries["zeros"].float()
    return -zeros * entries["scales"].float() if packing.levels == "hqq" else zeros


def _grouped(x: torch.Tensor, packing: Packing, axis: Axis) -> tuple[torch.Tensor, int]:
    """x [..., tokens, head_dim] with each group along a dimension of its own, and that dimension."""
    if axis == "channel":
        return x.unflatten(-2, (-1, packing.group_size)), -2
    return x.unflatten(-1, (-1, min(packing.group_size, x.shape[-1]))), -1


def _into_bytes(codes: torch.Tensor, bits: int) -> torch.Tensor:
    parts = codes.unflatten(-1, (8 // bits, -1))  # [..., parts, bytes]
    packed = parts[..., 0, :].clone()
    for part in range(1, 8 // bits):
        packed |= parts[..., part, :] << (part * bits)
    return packed

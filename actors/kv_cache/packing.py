"""Packing numbers into few bits, and back: round to the nearest of 2^bits levels, group by group.

    symmetric   value = (code - (2^bits - 1) / 2) * scale,   scale = 2 * max|x| / (2^bits - 1)
    asymmetric  value = code * scale + zero,                 scale = (max - min) / (2^bits - 1)

Symmetric levels lie evenly on both sides of zero, so that all 2^bits are used. Scales and zero points
are rounded to 16 bit before codes are chosen. A byte holds 8 / bits channels that are
head_dim * bits / 8 apart, so that unpacking writes long runs.
"""

import torch

from raysweep.kv_policy import Axis, Packing


def pack(
    x: torch.Tensor, packing: Packing, axis: Axis
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes (uint8), scales and zeros (fp16) of x [..., tokens, head_dim], in the shapes of `slots`."""
    grouped, dim = _grouped(x.float(), packing, axis)
    top = 2**packing.bits - 1
    high, low = grouped.amax(dim, keepdim=True), grouped.amin(dim, keepdim=True)
    if packing.symmetric:
        high = torch.maximum(high, -low)
        low = -high
    scale = ((high - low) / top).half()
    zero = -scale.float() * top / 2 if packing.symmetric else low.half().float()
    step = torch.where(scale == 0, 1, scale.float())
    codes = ((grouped - zero) / step).round().clamp(0, top).to(torch.uint8)
    return (
        _into_bytes(codes.reshape(x.shape), packing.bits),
        scale.squeeze(dim),
        zero.half().squeeze(dim),
    )


def unpack_into(
    out: torch.Tensor,
    codes: torch.Tensor,
    scales: torch.Tensor,
    zeros: torch.Tensor | None,
    packing: Packing,
    axis: Axis,
) -> None:
    """Write the numbers of `codes` [..., tokens, bytes] into out [..., tokens, head_dim]."""
    parts = 8 // packing.bits
    if parts == 1:
        out.copy_(codes)
    else:
        width, mask = codes.shape[-1], 2**packing.bits - 1
        for part in range(parts):
            shifted = codes >> (part * packing.bits) if part else codes
            out[..., part * width : (part + 1) * width] = shifted & mask
    grouped, dim = _grouped(out, packing, axis)
    scale = scales.to(out.dtype).unsqueeze(dim)
    if zeros is None:
        grouped.sub_((2**packing.bits - 1) / 2).mul_(scale)
    else:
        grouped.mul_(scale).add_(zeros.to(out.dtype).unsqueeze(dim))


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

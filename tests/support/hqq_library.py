"""The library hqq as the oracle of the layout that is named after it."""

from dataclasses import dataclass

import torch
from hqq.core.quantize import Quantizer


@dataclass(frozen=True)
class Quantised:
    """What one call of the library makes. `rounded` are the numbers that it gives back, in 32 bit."""

    codes: torch.Tensor  # in the shape of the input
    scales: torch.Tensor  # one per group, flat
    zeros: torch.Tensor
    rounded: torch.Tensor


def quantised(block: torch.Tensor, bits: int, axis: int, group_size: int) -> Quantised:
    """`block` [tokens, head_dim] in one call, with scales and zero points rounded to fp16 at the end."""
    codes, meta = Quantizer.quantize(
        block, nbits=bits, group_size=group_size, axis=axis, device="cpu", bitpack=False
    )
    scales, zeros = meta["scale"], meta["zero"]
    stored = {"scale": scales.half().float(), "zero": zeros.half().float()}
    back = {**meta, **stored, "compute_dtype": torch.float32}
    rounded = Quantizer.dequantize(codes, back)
    return Quantised(codes.view(block.shape), scales.flatten(), zeros.flatten(), rounded)

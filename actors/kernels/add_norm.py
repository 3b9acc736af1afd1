"""A residual sum and the RMS norm of the result, as Qwen3's decoder layers compute both.

    hidden[f] = round(hidden[f] + sum over parts of delta[part, f])
    normed[f] = round(weight[f] * round(hidden[f] / sqrt(mean of hidden**2 + eps)))

Arithmetic is in 32 bit, with the roundings of transformers' `Qwen3RMSNorm`: once before the weight and once
after it. A product with packed weights may come in parts (see `packed_product`), which are added here.

Bytes per row of F features of b bytes: 2 F b loaded (hidden and weight) and the delta's parts, 2 F b stored
(hidden and normed). Without a delta 2 F b are loaded and F b stored.
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.rounding import rounded


@triton.jit
def _kernel(
    hidden,
    delta,
    weight,
    normed,
    hidden_row,
    delta_part,
    delta_row,
    features,
    eps,
    PARTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    mask = at < features
    dtype = hidden.dtype.element_ty
    x = tl.load(hidden + row * hidden_row + at, mask, 0).to(tl.float32)
    if delta is not None:
        for part in range(PARTS):
            x += tl.load(delta + part * delta_part + row * delta_row + at, mask, 0).to(tl.float32)
        stored = rounded(x, dtype)
        tl.store(hidden + row * hidden_row + at, stored, mask)
        x = stored.to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x) / features + eps)
    y = tl.load(weight + at, mask, 0).to(tl.float32) * rounded(x * scale, dtype).to(tl.float32)
    tl.store(normed + row * features + at, rounded(y, dtype), mask)


def add_norm(
    hidden: torch.Tensor, delta: torch.Tensor | None, weight: torch.Tensor, eps: float
) -> torch.Tensor:
    """Adds delta to hidden in place, and returns hidden's norm [rows, features] in hidden's type.

    hidden  [rows, features]
    delta   [rows, features], or [parts, rows, features] to be added up
    weight  [features], at most 8,192
    """
    rows, features = hidden.shape
    if delta is not None and delta.ndim == 2:
        delta = delta[None]
    normed = torch.empty((rows, features), dtype=hidden.dtype, device=hidden.device)
    block = max(128, 1 << (features - 1).bit_length())
    launching.launch(
        _kernel,
        (rows,),
        hidden,
        delta,
        weight,
        normed,
        hidden.stride(0),
        0 if delta is None else delta.stride(0),
        0 if delta is None else delta.stride(1),
        features,
        eps,
        PARTS=0 if delta is None else len(delta),
        BLOCK=block,
        num_warps=8 if block > 2048 else 4,
    )
    return normed

"""The sum of parts of a product, always in the same order.

    y[m, n] = round(sum over s of parts[s, m, n] + bias[n])

Bytes: 4 S M N loaded and y's stored, and 4 N of the bias for each row.
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.rounding import rounded

BLOCK = 1024


@triton.jit
def _kernel(parts, bias, y, size, columns, PARTS: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < size
    total = tl.zeros((BLOCK,), tl.float32)
    for part in tl.static_range(PARTS):
        total += tl.load(parts + part * size + at, mask, 0)
    if bias is not None:
        total += tl.load(bias + at % columns, mask, 0).to(tl.float32)
    tl.store(y + at, rounded(total, y.dtype.element_ty), mask)


def added_parts(parts: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor:
    """parts [s, m, n] in 32 bit, bias [n] -> [m, n] of dtype. s m n is below 2**31."""
    y = torch.empty(parts.shape[1:], dtype=dtype, device=parts.device)
    grid = (-(-y.numel() // BLOCK),)
    launching.launch(
        _kernel, grid, parts, bias, y, y.numel(), y.shape[1], PARTS=len(parts), BLOCK=BLOCK
    )
    return y

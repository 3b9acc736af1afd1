"""The gated activation between the products of a decoder layer's MLP.

    y[i] = round(silu(gate[i]) * up[i]),    silu(g) = g / (1 + exp(-g))

In 32 bit with a single rounding. Bytes per row of I features of b bytes: 2 I b loaded, I b stored.
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.rounding import rounded

BLOCK = 1024


@triton.jit
def _kernel(gate_up, y, row_stride, features, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = at < features
    gate = tl.load(gate_up + row * row_stride + at, mask, 0).to(tl.float32)
    up = tl.load(gate_up + row * row_stride + features + at, mask, 0).to(tl.float32)
    value = gate * tl.sigmoid(gate) * up
    tl.store(y + row * features + at, rounded(value, y.dtype.element_ty), mask)


def gated(gate_up: torch.Tensor) -> torch.Tensor:
    """gate_up [n, 2 * features]: the gates, then what they let through -> [n, features] of its type."""
    rows, features = gate_up.shape[0], gate_up.shape[1] // 2
    y = torch.empty((rows, features), dtype=gate_up.dtype, device=gate_up.device)
    grid = (rows, -(-features // BLOCK))
    launching.launch(_kernel, grid, gate_up, y, gate_up.stride(0), features, BLOCK=BLOCK)
    return y

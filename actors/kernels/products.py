"""The product of two tiles with sums in 32 bit, as all kernels take it.

On a GPU, 16-bit operands go to the tensor cores as they are, and 32-bit ones are multiplied exactly. The
interpreter multiplies bf16's bit patterns, so there operands are widened first, which changes no product.
"""

import triton
import triton.language as tl
from triton import knobs

INTERPRETED = tl.constexpr(knobs.runtime.interpret)


@triton.jit
def product(a, b):
    """a [m, k] @ b [k, n] -> [m, n] in 32 bit. Each dimension is at least 16."""
    if INTERPRETED:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), input_precision="ieee")
    return tl.dot(a, b, input_precision="ieee")

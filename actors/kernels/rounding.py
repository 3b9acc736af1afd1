"""Rounding to a type of fewer bits, to the nearest number and of two to the even one, as a GPU rounds.

The interpreter drops bf16's excess bits instead, and takes tiny numbers for others. So there the bits are
rounded here.
"""

import triton
import triton.language as tl

from actors.kernels.products import INTERPRETED


@triton.jit
def rounded(numbers, dtype: tl.constexpr):
    """numbers in dtype, which has at most their bits."""
    if INTERPRETED and dtype == tl.bfloat16:
        bits = numbers.to(tl.float32).to(tl.uint32, bitcast=True)
        bits = tl.where(numbers == numbers, bits + 0x7FFF + ((bits >> 16) & 1), bits)
        return (bits >> 16).to(tl.uint16).to(tl.bfloat16, bitcast=True)
    return numbers.to(dtype)

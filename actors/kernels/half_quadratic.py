"""The zero points of half-quadratic quantisation, for a block of groups in a program's registers.

Formulas and constants are those of its twin, `actors.kv_cache.half_quadratic`. A program has one block, so
the rule by which a block's rounds end is a loop's condition. A power of |e| is 2 to the power of a multiple
of its logarithm. Nothing is read or written.
"""

import triton
import triton.language as tl

from actors.kv_cache import half_quadratic as twin

NARROW = tl.constexpr(twin.NARROW)
LARGEST_INVERSE = tl.constexpr(twin.LARGEST_INVERSE)
LARGEST_ZERO = tl.constexpr(twin.LARGEST_ZERO)
ITERATIONS = tl.constexpr(twin.ITERATIONS)
POWER = tl.constexpr(twin.NORM - 1)
BETA = tl.constexpr(twin.BETA)
HALF_WAY = tl.constexpr(1.5 * 2**23)  # a number of this size has no digits behind the point


@triton.jit
def rounded(x):
    """The nearest whole number, of two the even one, for |x| < 2^22."""
    return (x + HALF_WAY) - HALF_WAY


@triton.jit
def codes_of(x, inverse, zero, TOP: tl.constexpr):
    return rounded(tl.minimum(tl.maximum(x * inverse + zero, 0.0), TOP))


@triton.jit
def reciprocal(x):
    return tl.div_rn(tl.zeros_like(x) + 1.0, x)


@triton.jit
def inverse_scales(low, high, TOP: tl.constexpr):
    """[groups] 1 / scale, from the least and the greatest number of each group.

    A number by a tensor is in torch the number times the tensor's reciprocal, which rounds twice.
    """
    inverse = tl.where(high - low > NARROW, reciprocal(high - low) * TOP, 1.0)
    inverse = tl.minimum(inverse, LARGEST_INVERSE)
    return tl.minimum(inverse, reciprocal(tl.abs(low)) * LARGEST_ZERO)


@triton.jit
def refined_zeros(x, exists, inverse, zero, size, TOP: tl.constexpr):
    """[groups] zero points, moved until the mean error of the block falls no further.

    x              [groups, numbers]; exists says which of them are real, of which each group has `size`
    inverse, zero  [groups]
    """
    inverses, scales = inverse[:, None], reciprocal(inverse)[:, None]
    before, error = tl.full([], float("inf"), tl.float32), tl.full([], 3e38, tl.float32)
    left = ITERATIONS
    while (error < before) & (left > 0):
        codes = codes_of(x, inverses, zero[:, None], TOP)
        errors = x - (codes - zero[:, None]) * scales
        sizes = tl.abs(errors)
        likely = (x - _forgiven(errors, sizes)) * inverses
        zero = tl.sum(tl.where(exists, codes - likely, 0.0), 1) / size
        before = error
        error = tl.sum(tl.sum(tl.where(exists, sizes, 0.0), 1), 0)
        left -= 1
    return zero


@triton.jit
def _forgiven(errors, sizes):
    kept = sizes - tl.exp2(tl.log2(tl.maximum(sizes, 1e-30)) * POWER) / BETA
    return tl.where(kept > 0.0, tl.where(errors < 0.0, -kept, kept), 0.0)

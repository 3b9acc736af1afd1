"""Packed numbers within a kernel: products with them that multiply their codes alone.

    number = (code - half) * scale + middle     half = 2^(bits - 1) - 1

    levels     middle, the value of the code `half`
    symmetric  0
    min_max    zero + half * scale
    hqq        (half - zero) * scale

Codes are exact in bf16. Those of 2 and 4 bits become numbers without a conversion, which would cost more
than all else: as the highest bits behind the point, they make 2^bits + code out of 2^bits. Of 8 bits, `half`
is taken off before they are converted. So what is multiplied is code - half + SHIFT.
"""

# Triton unrolls static_range, which Python cannot iterate over:
# pyright: reportGeneralTypeIssues=false

import triton
import triton.language as tl

from actors.kernels.products import product
from actors.kernels.rounding import rounded

POINT = 7  # bits of a bf16 number behind the point
BIAS = 127  # of its exponent


@triton.constexpr_function
def half_of(bits: int) -> int:
    """The code whose value is `middle`."""
    return 2 ** (bits - 1) - 1


@triton.constexpr_function
def shift_of(bits: int) -> int:
    """By how much the numbers of `shifted_codes` are more than code - half."""
    return 0 if bits == 8 else 2**bits + half_of(bits)


@triton.constexpr_function
def leftward(bits: int, part: int) -> int:
    """By how many bits a code is moved from its part of a byte to the highest bits behind the point."""
    return POINT - (part + 1) * bits


@triton.constexpr_function
def code_mask(bits: int) -> int:
    """The highest bits behind the point."""
    return (2**bits - 1) << (POINT - bits)


@triton.constexpr_function
def bf16_power(bits: int) -> int:
    """The bits of 2^bits in bf16."""
    return (BIAS + bits) << POINT


@triton.constexpr_function
def padded(numbers: int) -> int:
    """How many numbers a tile's dimension has, to hold so many and to be multiplied."""
    return max(16, 1 << (numbers - 1).bit_length())


@triton.jit
def shifted_codes(packed, PART: tl.constexpr, BITS: tl.constexpr, dtype: tl.constexpr):
    """The codes in one part of each byte, as numbers code - half + SHIFT."""
    if BITS == 8:
        codes = (packed.to(tl.int32) - half_of(BITS)).to(tl.float32)
    else:
        left: tl.constexpr = leftward(BITS, PART)
        wide = packed.to(tl.uint16)
        moved = wide << left if left > 0 else wide >> -left
        codes = ((moved & code_mask(BITS)) | bf16_power(BITS)).to(tl.bfloat16, bitcast=True)
    return codes.to(dtype)


@triton.jit
def levels_of(
    scales, zeros, head, capacity, group, tokens, held, CHANNEL: tl.constexpr, RUN: tl.constexpr,
    HEAD_DIM: tl.constexpr, GROUP_SIZE: tl.constexpr, BITS: tl.constexpr, HQQ: tl.constexpr,
):  # fmt: skip
    """Scales and middles of some tokens of a group: a pair of vectors for each RUN channels, in 32 bit.

    CHANNEL  the vectors are [RUN], for all tokens; else they are [tokens], for all RUN channels
    """
    pairs = ()
    for run in tl.static_range(HEAD_DIM // RUN):
        if CHANNEL:
            channels = tl.arange(0, padded(RUN))
            entry = (head * (capacity // GROUP_SIZE) + group) * HEAD_DIM + run * RUN
            pairs += (_levels(scales, zeros, entry, channels, channels < RUN, BITS, HQQ),)
        else:
            entry = head * capacity * (HEAD_DIM // RUN) + run
            places = tokens * (HEAD_DIM // RUN)
            pairs += (_levels(scales, zeros, entry, places, held, BITS, HQQ),)
    return pairs


@triton.jit
def _levels(scales, zeros, first, places, inside, BITS: tl.constexpr, HQQ: tl.constexpr):
    scale = tl.load(scales + first + places, inside, 0.0).to(tl.float32)
    if zeros is None:
        middle = tl.zeros_like(scale)
    else:
        zero = tl.load(zeros + first + places, inside, 0.0).to(tl.float32)
        middle = (half_of(BITS) - zero) * scale if HQQ else zero + half_of(BITS) * scale
    return scale, middle


@triton.jit
def times_codes(a, codes, scale, middle, SHIFT: tl.constexpr, SUMMED: tl.constexpr):
    """a [m, k] @ numbers [k, n] in 32 bit, with the numbers' `shifted_codes` [k, n] and an a of 32 bit.

    SUMMED  scale and middle are [k], and a * scale is rounded to the codes' type; else they are [n], and a
            is of that type already
    """
    if SUMMED:
        scaled = rounded(a * scale[None, :], codes.dtype)
        rest = tl.sum(a * middle[None, :] - SHIFT * scaled.to(tl.float32), 1)
        return product(scaled, codes) + rest[:, None]
    else:
        sums = tl.sum(a, 1)[:, None]
        shifted = product(a.to(codes.dtype), codes) - SHIFT * sums
        return shifted * scale[None, :] + sums * middle[None, :]

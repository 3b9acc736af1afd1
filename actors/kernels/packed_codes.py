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

from actors.kernels.products import INTERPRETED

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


@triton.constexpr_function
def first_channel(part: int, pair: int, pairs: int, bits: int) -> int:
    """The channel in a part of a pair of bytes; the next pair has the channel after the next."""
    byte, part = divmod(part, 8 // bits)
    return part * 2 * pairs + 2 * pair + byte


@triton.jit
def shifted_codes(packed, PART: tl.constexpr, BITS: tl.constexpr, dtype: tl.constexpr):
    """The codes in one part of each pair of bytes, as numbers code - half + SHIFT."""
    if BITS == 8:
        codes = ((packed >> (8 * PART)) & 255).to(tl.int32)
        codes = (codes - half_of(BITS)).to(tl.float32)
    else:
        left: tl.constexpr = leftward(BITS, PART)
        if INTERPRETED:
            moved = packed << left if left > 0 else packed >> -left
            codes = ((moved & code_mask(BITS)) | bf16_power(BITS)).to(tl.bfloat16, bitcast=True)
        else:
            codes = tl.inline_asm_elementwise(
                two_numbers(BITS, PART), "=r,r", [packed], tl.bfloat16, is_pure=True, pack=2
            )
    return codes.to(dtype)


@triton.constexpr_function
def two_numbers(bits: int, part: int) -> str:
    left = leftward(bits, part)
    move = f"shl.b32 t, $1, {left}" if left > 0 else f"shr.b32 t, $1, {-left}"
    mask, power = code_mask(bits) * 0x10001, bf16_power(bits) * 0x10001
    return f"{{ .reg .b32 t; {move}; lop3.b32 $0, t, {mask}, {power}, 0xEA; }}"


@triton.jit
def levels_of(
    scales, zeros, head, capacity, group, used, tokens, held, CHANNEL: tl.constexpr, RUN: tl.constexpr,
    COLUMNS: tl.constexpr, HEAD_DIM: tl.constexpr, GROUP_SIZE: tl.constexpr, BITS: tl.constexpr,
    HQQ: tl.constexpr,
):  # fmt: skip
    """Scales and middles of some tokens of groups, in 32 bit, as pairs of tensors.

    CHANNEL  they are [lanes, columns], for all tokens: a pair for each part of each column of pairs of bytes;
             else they are [lanes, tokens], for all channels of a run
    """
    pairs = ()
    if CHANNEL:
        PAIRS: tl.constexpr = HEAD_DIM * BITS // 16
        columns = tl.arange(0, padded(COLUMNS))
        inside = used[:, None] & (columns < COLUMNS)[None, :]
        entries = (head * (capacity // GROUP_SIZE) + group) * HEAD_DIM
        for first in tl.static_range(0, PAIRS, COLUMNS):
            for part in tl.static_range(16 // BITS):
                channels = first_channel(part, first, PAIRS, BITS) + 2 * columns
                places = entries[:, None] + channels[None, :]
                pairs += (_levels(scales, zeros, places, inside, BITS, HQQ),)
    else:
        for run in tl.static_range(HEAD_DIM // RUN):
            places = head * capacity * (HEAD_DIM // RUN) + run + tokens * (HEAD_DIM // RUN)
            pairs += (_levels(scales, zeros, places, held, BITS, HQQ),)
    return pairs


@triton.jit
def _levels(scales, zeros, places, inside, BITS: tl.constexpr, HQQ: tl.constexpr):
    scale = tl.load(scales + places, inside, 0.0).to(tl.float32)
    if zeros is None:  # a GPU's compiler reads on behind a return
        return scale, tl.zeros_like(scale)
    else:
        zero = tl.load(zeros + places, inside, 0.0).to(tl.float32)
        if HQQ:
            return scale, (half_of(BITS) - zero) * scale
        return scale, zero + half_of(BITS) * scale

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
def rightward(bits: int, part: int) -> int:
    """By how many bits a part of a pair is moved, so that its half of a byte is behind the point."""
    return 4 * (part * bits // 4) - 3


@triton.constexpr_function
def place(bits: int, part: int) -> int:
    """The place of its lowest bit then."""
    return part * bits - rightward(bits, part)


@triton.constexpr_function
def shift_of(bits: int, part: int) -> int:
    """By how much the numbers of `shifted_codes` are more than code - half."""
    return 0 if bits == 8 else 2 ** (POINT - place(bits, part)) + half_of(bits)


@triton.constexpr_function
def code_mask(bits: int, part: int) -> int:
    """The bits of a code that is moved."""
    return (2**bits - 1) << place(bits, part)


@triton.constexpr_function
def bf16_power(bits: int, part: int) -> int:
    """The bits of the power of two in bf16 whose bits behind the point mean whole numbers from `place` on."""
    return (BIAS + POINT - place(bits, part)) << POINT


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
        right: tl.constexpr = rightward(BITS, PART)
        if INTERPRETED:
            moved = packed << -right if right < 0 else packed >> right
            bits = (moved & code_mask(BITS, PART)) | bf16_power(BITS, PART)
            codes = bits.to(tl.bfloat16, bitcast=True)
        else:
            moved = tl.inline_asm_elementwise(
                moving(right), "=r,r", [packed], tl.uint16, is_pure=True, pack=2
            )
            codes = tl.inline_asm_elementwise(
                masking(code_mask(BITS, PART), bf16_power(BITS, PART)),
                "=r,r", [moved], tl.bfloat16, is_pure=True, pack=2,
            )  # fmt: skip
    return codes.to(dtype)


@triton.constexpr_function
def moving(right: int) -> str:
    """PTX that moves the bits of two numbers. Those that come into a number from the other are masked later."""
    return f"shr.b32 $0, $1, {right};" if right > 0 else f"shl.b32 $0, $1, {-right};"


@triton.constexpr_function
def masking(mask: int, power: int) -> str:
    """PTX that takes some bits of two numbers and sets others, in one instruction."""
    return f"lop3.b32 $0, $1, {mask * 0x10001}, {power * 0x10001}, 0xEA;"


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
        columns = tl.arange(0, padded(COLUMNS))
        inside = used[:, None] & (columns < COLUMNS)[None, :]
        entries = ((head * (capacity // GROUP_SIZE) + group) * (HEAD_DIM // 2))[:, None]
        for first in tl.static_range(0, HEAD_DIM * BITS // 16, COLUMNS):
            scale_words = ()
            zero_words = ()
            for part in tl.static_range(8 // BITS):
                places = entries + first_channel(part, first, HEAD_DIM * BITS // 16, BITS) // 2 + columns
                scale_words += (tl.load(scales.to(tl.pointer_type(tl.uint32)) + places, inside, 0),)
                if zeros is not None:
                    zero_words += (tl.load(zeros.to(tl.pointer_type(tl.uint32)) + places, inside, 0),)
            for part in tl.static_range(16 // BITS):
                scale = _half(scale_words[part % (8 // BITS)], part * BITS // 8, scales.dtype.element_ty)
                if zeros is None:
                    middle = tl.zeros_like(scale)
                else:
                    zero = _half(zero_words[part % (8 // BITS)], part * BITS // 8, zeros.dtype.element_ty)
                    middle = _middle(scale, zero, BITS, HQQ)
                pairs += ((scale, middle),)
    else:
        for run in tl.static_range(HEAD_DIM // RUN):
            places = head * capacity * (HEAD_DIM // RUN) + run + tokens * (HEAD_DIM // RUN)
            scale = tl.load(scales + places, held, 0.0).to(tl.float32)
            if zeros is None:
                middle = tl.zeros_like(scale)
            else:
                zero = tl.load(zeros + places, held, 0.0).to(tl.float32)
                middle = _middle(scale, zero, BITS, HQQ)
            pairs += ((scale, middle),)
    return pairs


@triton.jit
def _half(words, HIGH: tl.constexpr, dtype: tl.constexpr):
    """One of the two 16-bit numbers in each word, in 32 bit."""
    return (words >> (16 * HIGH)).to(tl.uint16).to(dtype, bitcast=True).to(tl.float32)


@triton.jit
def _middle(scale, zero, BITS: tl.constexpr, HQQ: tl.constexpr):
    if HQQ:
        middle = (half_of(BITS) - zero) * scale
    else:
        middle = zero + half_of(BITS) * scale
    return middle

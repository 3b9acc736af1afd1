"""Packed numbers within a kernel: products with them that multiply their codes alone.

    number = (code - half) * scale + middle     half = 2^(bits - 1) - 1

    levels     middle, the value of the code `half`
    symmetric  0
    min_max    zero + half * scale
    hqq        (half - zero) * scale

Codes are exact in bf16. Those of 2 and 4 bits become numbers without a conversion, which would cost more
than all else: as bits behind the point, they make 2^k + code out of 2^k. An instruction does that for two
codes, 16 bits apart, after another one has moved their halves of bytes there. Of 8 bits, `half` is taken off
before they are converted. So what is multiplied is code - half + SHIFT.
"""

# Triton unrolls static_range, which Python cannot iterate over:
# pyright: reportGeneralTypeIssues=false
# A function of constants is not known to give a number or a string:
# pyright: reportArgumentType=false, reportReturnType=false

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
    return part * bits // 4 * 4 - 3


@triton.constexpr_function
def place(bits: int, part: int) -> int:
    """The place of its lowest bit then."""
    return part * bits % 4 + 3


@triton.constexpr_function
def shift_of(bits: int, part: int) -> int:
    """By how much the numbers of `shifted_codes` are more than code - half."""
    return 0 if bits == 8 else 2 ** (POINT - place(bits, part)) + 2 ** (bits - 1) - 1


@triton.constexpr_function
def code_mask(bits: int, part: int) -> int:
    """The bits of a code that is moved."""
    return (2**bits - 1) << place(bits, part)


@triton.constexpr_function
def bf16_power(bits: int, part: int) -> int:
    """The bits of 2^k in bf16, whose bits behind the point count from 1 at the code's place on."""
    return (BIAS + POINT - place(bits, part)) << POINT


@triton.constexpr_function
def padded(numbers: int) -> int:
    """How many numbers a tile's dimension has, to hold so many and to be multiplied."""
    return max(16, 1 << (numbers - 1).bit_length())


@triton.constexpr_function
def first_channel(chunk: int, head_dim: int, bits: int, columns: int) -> int:
    """Of a chunk, which is a part of each of so many pairs of bytes. Every other channel belongs to it."""
    first, part = divmod(chunk, 16 // bits)
    byte, part = divmod(part, 8 // bits)
    return part * (head_dim * bits // 8) + 2 * first * columns + byte


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
    """PTX that moves the bits of two numbers. What comes from the other number is masked later."""
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
    """Scales and middles of some tokens in 32 bit, as pairs of tensors.

    group, used   [warps]: a group's number, and whether it has to be read
    tokens, held  [warps, tokens]: of these groups, the same
    CHANNEL       a pair is [warps, columns] for all tokens, and there is one for each chunk of channels;
                  else it is [warps, tokens], and there is one for each run of channels
    """
    pairs = ()
    if CHANNEL:
        first = (head * (capacity // GROUP_SIZE) + group) * (HEAD_DIM // 2)  # words
        scale = _of_chunks(scales, first, used, HEAD_DIM, BITS, COLUMNS)
        if zeros is not None:
            zero = _of_chunks(zeros, first, used, HEAD_DIM, BITS, COLUMNS)
    else:
        first = (head * capacity + tokens) * (HEAD_DIM // RUN)
        scale = _of_runs(scales, first, held, HEAD_DIM // RUN)
        if zeros is not None:
            zero = _of_runs(zeros, first, held, HEAD_DIM // RUN)
    for each in tl.static_range(len(scale)):
        if zeros is None:
            middle = tl.zeros_like(scale[each])
        elif HQQ:
            middle = (half_of(BITS) - zero[each]) * scale[each]
        else:
            middle = zero[each] + half_of(BITS) * scale[each]
        pairs += ((scale[each], middle),)
    return pairs


@triton.jit
def _of_chunks(
    lane, first, used, HEAD_DIM: tl.constexpr, BITS: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """Numbers of 16 bit, [warps, columns] for each chunk. Two chunks have theirs in the same words."""
    parts: tl.constexpr = 16 // BITS
    columns = tl.arange(0, padded(COLUMNS))[None, :]
    inside = used[:, None] & (columns < COLUMNS)
    places = lane.to(tl.pointer_type(tl.uint32)) + first[:, None] + columns
    words = ()
    for chunk in tl.static_range(HEAD_DIM // COLUMNS):
        if chunk % parts < parts // 2:
            word = first_channel(chunk, HEAD_DIM, BITS, COLUMNS) // 2
            words += (tl.load(places + word, inside, 0),)
    numbers = ()
    for chunk in tl.static_range(HEAD_DIM // COLUMNS):
        word = words[chunk // parts * (parts // 2) + chunk % (parts // 2)]
        half = (word >> (chunk % parts // (parts // 2) * 16)).to(tl.uint16)
        numbers += (half.to(lane.dtype.element_ty, bitcast=True).to(tl.float32),)
    return numbers


@triton.jit
def _of_runs(lane, first, held, RUNS: tl.constexpr):
    """Numbers, [warps, tokens] for each run of channels."""
    numbers = ()
    for run in tl.static_range(RUNS):
        numbers += (tl.load(lane + first + run, held, 0.0).to(tl.float32),)
    return numbers

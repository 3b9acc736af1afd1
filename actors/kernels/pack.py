"""Packs a block of native tokens of rows into their packed lanes: codes, scales and perhaps zero points.

Twin: `actors.kv_cache.packing.pack`, where the formulas stand. A program packs the block of one head. First
it has the numbers as [groups, numbers of a group] in its registers, and finds each group's scale and zero
point. Then it reads them again in the order of bytes, from the nearest cache, because a byte's codes are of
channels that lie far apart, and chooses the codes. Products are rounded before they are added to, as in
torch: in hqq's search, a number in the middle between two levels can move a zero point far. Bytes, per KV
head of G groups of N numbers of b bytes:

    2 N G b + 8 N G              are read: numbers twice, and each number's scale and zero point as computed
    8 G                          are written: scales and zero points as computed
    N G bits / 8 + 4 G           are written: codes, scales and zero points (2 G without these)
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.half_quadratic import (
    codes_of,
    inverse_scales,
    reciprocal,
    refined_zeros,
    rounded,
)
from actors.kernels.lanes import offset_of
from raysweep.kv_policy import Axis, Packing


@triton.jit
def _pack(
    native, rows, places, codes, scales, zeros, steps, offsets,
    native_row, native_head, code_row, code_head, scale_row, scale_head,
    HEAD_DIM: tl.constexpr, TOKENS: tl.constexpr, SIZE: tl.constexpr, BITS: tl.constexpr,
    LEVELS: tl.constexpr, BY_CHANNEL: tl.constexpr,
):  # fmt: skip
    head, due = tl.program_id(0), tl.program_id(1)
    groups: tl.constexpr = HEAD_DIM * TOKENS // SIZE
    place = tl.load(places + due).to(tl.int64)
    made = (due * tl.num_programs(0) + head) * groups
    native += offset_of(rows, due, head, native_row, native_head)
    # An entry of the scales' lane stands for a whole block if groups lie along channels, or for a token.
    to_scales = offset_of(rows, due, head, scale_row, scale_head) + place * groups // TOKENS
    to_codes = offset_of(rows, due, head, code_row, code_head) + place * (HEAD_DIM * BITS // 8)
    _write_scales(
        native, scales + to_scales, zeros + to_scales, steps + made, offsets + made,
        HEAD_DIM, groups, SIZE, BITS, LEVELS, BY_CHANNEL,
    )  # fmt: skip
    tl.debug_barrier()
    _write_codes(
        native, steps + made, offsets + made, codes + to_codes,
        HEAD_DIM, TOKENS, SIZE, BITS, LEVELS, BY_CHANNEL,
    )  # fmt: skip


@triton.jit
def _write_scales(
    native, scales, zeros, steps, offsets,
    HEAD_DIM: tl.constexpr, GROUPS: tl.constexpr, SIZE: tl.constexpr, BITS: tl.constexpr,
    LEVELS: tl.constexpr, BY_CHANNEL: tl.constexpr,
):  # fmt: skip
    group = tl.arange(0, triton.next_power_of_2(GROUPS))
    number = tl.arange(0, triton.next_power_of_2(SIZE))
    has = group < GROUPS
    exists = has[:, None] & (number < SIZE)[None, :]
    if BY_CHANNEL:
        at = number[None, :] * HEAD_DIM + group[:, None]
    else:
        at = group[:, None] * SIZE + number[None, :]
    x = tl.load(native + at, exists, other=0.0).to(tl.float32)
    low = tl.min(tl.where(exists, x, float("inf")), 1)
    high = tl.max(tl.where(exists, x, float("-inf")), 1)
    if LEVELS == "hqq":
        step = inverse_scales(low, high, 2**BITS - 1)
        offset = refined_zeros(x, exists, step, -low * step, SIZE, 2**BITS - 1)
        scale = reciprocal(step).to(tl.float16)
    else:
        scale = _scale(low, high, BITS, LEVELS).to(tl.float16)
        step = tl.where(scale == 0.0, 1.0, scale.to(tl.float32))
        offset = low.to(tl.float16).to(tl.float32)
    tl.store(steps + group, step, has)
    tl.store(offsets + group, offset, has)
    tl.store(scales + group, scale, has)
    if LEVELS != "symmetric":
        tl.store(zeros + group, offset.to(tl.float16), has)


@triton.jit
def _write_codes(
    native, steps, offsets, codes,
    HEAD_DIM: tl.constexpr, TOKENS: tl.constexpr, SIZE: tl.constexpr, BITS: tl.constexpr,
    LEVELS: tl.constexpr, BY_CHANNEL: tl.constexpr,
):  # fmt: skip
    width: tl.constexpr = HEAD_DIM * BITS // 8
    token = tl.arange(0, triton.next_power_of_2(TOKENS))
    byte = tl.arange(0, triton.next_power_of_2(width))
    exists = (token < TOKENS)[:, None] & (byte < width)[None, :]
    packed = tl.zeros(exists.shape, tl.int32)
    for part in range(8 // BITS):
        at = token[:, None] * HEAD_DIM + part * width + byte[None, :]
        group = at % HEAD_DIM if BY_CHANNEL else at // SIZE
        x = tl.load(native + at, exists, other=0.0).to(tl.float32)
        step = tl.load(steps + group, exists, other=1.0)
        code = _codes(x, step, tl.load(offsets + group, exists, other=0.0), BITS, LEVELS)
        packed |= code.to(tl.int32) << (part * BITS)
    tl.store(codes + token[:, None] * width + byte[None, :], packed.to(tl.uint8), exists)


@triton.jit
def _scale(low, high, BITS: tl.constexpr, LEVELS: tl.constexpr):
    if LEVELS == "min_max":
        return tl.div_rn(high - low, tl.zeros_like(low) + (2**BITS - 1))
    half = tl.zeros_like(low) + (2 ** (BITS - 1) - 1)
    return tl.div_rn(tl.maximum(tl.abs(low), tl.abs(high)), half)


@triton.jit
def _codes(x, step, offset, BITS: tl.constexpr, LEVELS: tl.constexpr):
    if LEVELS == "hqq":
        return codes_of(x, step, offset, 2**BITS - 1)
    if LEVELS == "min_max":
        return rounded(tl.minimum(tl.maximum(tl.div_rn(x - offset, step), 0.0), 2**BITS - 1))
    half: tl.constexpr = 2 ** (BITS - 1) - 1
    return rounded(tl.minimum(tl.maximum(tl.div_rn(x, step), -half), half)) + half


def pack(
    native: torch.Tensor,
    rows: torch.Tensor,
    places: torch.Tensor,
    lanes: dict[str, torch.Tensor],
    packing: Packing,
    axis: Axis,
) -> None:
    """Pack one block of each due row's head, and write it into the packed lanes of the layer.

    native  [rows, kv_heads, group_size, head_dim] of 16 or 32 bit, the block: a view of a lane; the last two
            dimensions are contiguous
    rows    int32 [due], the rows to work on, each once
    places  int32 [due], the packed tokens that each of these rows holds already, a multiple of group_size if
            groups lie along channels
    lanes   `codes` (uint8), `scales` and perhaps `zeros` (fp16), each [rows, kv_heads, entries, ...] as in
            `slots`; scales and zeros have equal strides
    axis    along which groups lie
    """
    _, kv_heads, tokens, head_dim = native.shape
    codes, scales = lanes["codes"], lanes["scales"]
    size = tokens if axis == "channel" else min(packing.group_size, head_dim)
    steps = native.new_empty(len(rows), kv_heads, head_dim * tokens // size, dtype=torch.float32)
    launching.launch(
        _pack, (kv_heads, len(rows)),
        native, rows, places, codes, scales, lanes.get("zeros", scales), steps, torch.empty_like(steps),
        *native.stride()[:2], *codes.stride()[:2], *scales.stride()[:2],
        HEAD_DIM=head_dim, TOKENS=tokens, SIZE=size, BITS=packing.bits, LEVELS=packing.levels,
        BY_CHANNEL=axis == "channel", num_warps=16, enable_fp_fusion=False,
    )  # fmt: skip

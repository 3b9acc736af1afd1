"""Attention of one token per row over its packed slots, in splits of about 2,048 tokens (flash decoding).

It is `native_attention` with keys and values that are made of codes and scales (see `packed_codes`):

    number = (code - half) * scale + middle

The tensor cores multiply the codes themselves, which are exact in 16 bit. Some scales belong to a group of
the numbers that a product adds up: those of keys along channels, and of values along tokens. Such a scale
multiplies the query or the weight, which is then rounded to the queries' type. All other scales multiply the
result. So codes are never rounded, and with queries of 32 bit nothing is. `middle` is added in 32 bit.

A program takes one split of one KV head of one row, and all query heads that share the KV head. It goes from
tile to tile, each within one group of tokens. A byte holds channels that are far apart, so each of its parts
makes a product of its own, and no numbers need to be put in order.

Traffic in bytes per row, KV head and layer, with `used` splits of the row's tokens:
    read     the row's codes, scales and zero points  +  used * (group * head_dim * 2 + 4)
    written  used * group * (head_dim + 1) * 4, and 4 * group * tokens if the logits are wanted
and 4 read by each program beyond the row's tokens. Groups of more than 128 tokens have their scales read once
per 128 tokens.
"""

# Triton unrolls static_range, which Python cannot iterate over:
# pyright: reportGeneralTypeIssues=false

import math
from collections.abc import Mapping

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.native_attention import LOG2_E
from actors.kernels.packed_codes import first_channel, levels_of, padded, shift_of, shifted_codes
from actors.kernels.products import product
from actors.kernels.rounding import rounded
from raysweep.kv_policy import Axis, Packing

SPLIT = 2048  # most tokens per program; what it stores for 2 bits is then 3% of what it reads
TILE = 64  # most tokens that a lane takes at a time
LANES = 4  # warps of a program; each takes tiles of its own
COLUMNS = 16  # pairs of bytes of a token that are multiplied together
LOWEST = tl.constexpr(-(2.0**126))


def packed_split(packing: Packing) -> int:
    """Tokens per split: whole groups."""
    together = _together(packing)
    return max(1, SPLIT // together) * together


def packed_splits(packing: Packing, capacity: int) -> int:
    """Splits of that many slots."""
    return -(-capacity // packed_split(packing))


def packed_attention(
    q: torch.Tensor,
    lanes: Mapping[str, torch.Tensor],
    packing: Packing,
    lengths: torch.Tensor,
    results: torch.Tensor,
    lse: torch.Tensor,
    first_split: int = 0,
    logits: torch.Tensor | None = None,
    first_slot: int = 0,
) -> None:
    """Write each split's result and log-sum-exp.

    q        [n, heads, head_dim], rotated
    lanes    the packed lanes of one layer by name, see `actors.kv_cache.slots`, with at least n rows
    lengths  [n], int32: the packed tokens of each row, in its first slots
    results, lse, logits     as in `native_attention`
    first_split, first_slot  where packed splits and slots begin in them: as many as there are native ones
    """
    n, heads, head_dim = q.shape
    _, kv_heads, capacity, width = lanes["key_codes"].shape
    sides = [
        lanes.get(f"{side}_{name}")
        for side in ("key", "value")
        for name in ("codes", "scales", "zeros")
    ]
    together = _together(packing)
    tile = min(TILE if packing.bits < 8 else TILE // 2, max(16, triton.next_power_of_2(together)))
    key_run, value_run = (
        _run(axis, packing, head_dim) for axis in (packing.key_axis, packing.value_axis)
    )
    columns = {run: math.gcd(width // 2, run // 2, COLUMNS) for run in (key_run, value_run)}
    launching.launch(
        _packed_attention,
        (n, kv_heads, packed_splits(packing, capacity)),
        *(q, *sides, lengths, results, lse, logits, capacity, lse.shape[2], first_split),
        *(0 if logits is None else logits.shape[3], first_slot, head_dim**-0.5 * LOG2_E),
        KV_HEADS=kv_heads,
        GROUP=heads // kv_heads,
        HEADS=max(8, triton.next_power_of_2(heads // kv_heads)),
        HEAD_DIM=head_dim,
        BITS=packing.bits,
        HQQ=packing.levels == "hqq",
        KEY_CHANNEL=packing.key_axis == "channel",
        KEY_RUN=key_run,
        KEY_COLUMNS=columns[key_run],
        VALUE_CHANNEL=packing.value_axis == "channel",
        VALUE_RUN=value_run,
        VALUE_COLUMNS=columns[value_run],
        TOGETHER=together,
        SPLIT=packed_split(packing),
        TILE=tile,
        LANES=LANES,
        num_warps=LANES,
        num_stages=3,
    )


def _together(packing: Packing) -> int:
    """Tokens that tiles may not go beyond."""
    if "channel" in (packing.key_axis, packing.value_axis):
        return packing.group_size
    # Small groups have more scales, which are kept in registers.
    return 64 if packing.group_size >= 32 else 32


def _run(axis: Axis, packing: Packing, head_dim: int) -> int:
    """Channels whose scales are one vector: of the channels in one part of a byte, or of the tokens."""
    if axis == "channel":
        return head_dim * packing.bits // 8
    return min(packing.group_size, head_dim)


@triton.jit
def _packed_attention(
    q_ptr, key_codes, key_scales, key_zeros, value_codes, value_scales, value_zeros, lengths_ptr,
    results_ptr, lse_ptr, logits_ptr, capacity, splits, first_split, slots, first_slot, scale,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, HEADS: tl.constexpr, HEAD_DIM: tl.constexpr,
    BITS: tl.constexpr, HQQ: tl.constexpr,
    KEY_CHANNEL: tl.constexpr, KEY_RUN: tl.constexpr, KEY_COLUMNS: tl.constexpr,
    VALUE_CHANNEL: tl.constexpr, VALUE_RUN: tl.constexpr, VALUE_COLUMNS: tl.constexpr,
    TOGETHER: tl.constexpr, SPLIT: tl.constexpr, TILE: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    split = tl.program_id(2)
    length = tl.load(lengths_ptr + tl.program_id(0))
    begin = split * SPLIT
    if begin >= length:
        return
    head = tl.program_id(0).to(tl.int64) * KV_HEADS + tl.program_id(1)
    PAIRS: tl.constexpr = HEAD_DIM * BITS // 16  # of bytes
    TILES: tl.constexpr = (TOGETHER + TILE - 1) // TILE  # of a group
    dtype: tl.constexpr = q_ptr.dtype.element_ty
    key_codes = key_codes.to(tl.pointer_type(tl.uint16)) + head * capacity * PAIRS
    value_codes = value_codes.to(tl.pointer_type(tl.uint16)) + head * capacity * PAIRS
    heads = tl.arange(0, HEADS)
    q = _query(q_ptr + head * GROUP * HEAD_DIM, heads, GROUP, PAIRS, BITS, KEY_COLUMNS)
    result = ()
    for _ in tl.static_range(HEAD_DIM // VALUE_COLUMNS):
        result += (tl.zeros([LANES, padded(VALUE_COLUMNS), HEADS], tl.float32),)
    highest = tl.full([LANES, HEADS], LOWEST, tl.float32)
    total = tl.zeros([LANES, HEADS], tl.float32)
    tiles = tl.cdiv(tl.minimum(length - begin, SPLIT), TOGETHER) * TILES
    for first in range(0, tiles, LANES):
        tile = first + tl.arange(0, LANES)
        group = begin // TOGETHER + tile // TILES
        within = (tile % TILES * TILE)[:, None] + tl.arange(0, TILE)[None, :]
        tokens = group[:, None] * TOGETHER + within
        held = (within < TOGETHER) & (tokens < length) & (tile < tiles)[:, None]
        key_levels = levels_of(
            key_scales, key_zeros, head, capacity, group, tile < tiles, tokens, held,
            KEY_CHANNEL, KEY_RUN, KEY_COLUMNS, HEAD_DIM, TOGETHER, BITS, HQQ,
        )  # fmt: skip
        logit = _logit(
            q, dtype, key_codes, key_levels, tokens, held, PAIRS, BITS, KEY_CHANNEL, KEY_RUN,
            KEY_COLUMNS,
        )  # fmt: skip
        logit = tl.where(held[:, :, None], logit * scale, float("-inf"))
        if logits_ptr is not None:
            line = logits_ptr + (head * GROUP + heads) * slots + first_slot
            inside = (heads < GROUP)[None, None, :] & held[:, :, None]
            tl.store(line[None, None, :] + tokens[:, :, None], logit, inside)
        above = tl.maximum(highest, tl.max(logit, 1))
        weight = tl.exp2(logit - above[:, None, :])
        if VALUE_CHANNEL:  # else it is rounded with the scales, which differ from token to token
            weight = rounded(weight, dtype).to(tl.float32)
        shrunk = tl.exp2(highest - above)
        total = total * shrunk + tl.sum(weight, 1)
        highest = above
        value_levels = levels_of(
            value_scales, value_zeros, head, capacity, group, tile < tiles, tokens, held,
            VALUE_CHANNEL, VALUE_RUN, VALUE_COLUMNS, HEAD_DIM, TOGETHER, BITS, HQQ,
        )  # fmt: skip
        result = _result(
            result, dtype, shrunk, weight, value_codes, value_levels, tokens, held,
            PAIRS, BITS, VALUE_CHANNEL, VALUE_RUN, VALUE_COLUMNS,
        )  # fmt: skip
    part = (head * splits + first_split + split) * GROUP
    top = tl.max(highest, 0)
    share = tl.exp2(highest - top[None, :])
    total = tl.sum(total * share, 0)
    tl.store(lse_ptr + part + heads, top + tl.log2(total), heads < GROUP)
    results_ptr += part * HEAD_DIM
    _store(results_ptr, result, share / total[None, :], heads, GROUP, PAIRS, BITS, VALUE_COLUMNS)


@triton.jit
def _query(
    q_ptr, heads, GROUP: tl.constexpr, PAIRS: tl.constexpr, BITS: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """The query heads, [columns, heads] for each part of each column of pairs of bytes."""
    columns = tl.arange(0, padded(COLUMNS))
    inside = (columns[:, None] < COLUMNS) & (heads[None, :] < GROUP)
    q = ()
    for first in tl.static_range(0, PAIRS, COLUMNS):
        for part in tl.static_range(16 // BITS):
            channels = first_channel(part, first, PAIRS, BITS) + 2 * columns
            places = channels[:, None] + heads[None, :] * (PAIRS * 16 // BITS)
            q += (tl.load(q_ptr + places, inside, 0.0).to(tl.float32)[None, :, :],)
    return q


@triton.jit
def _logit(
    q, dtype: tl.constexpr, codes_ptr, levels, tokens, held, PAIRS: tl.constexpr, BITS: tl.constexpr,
    CHANNEL: tl.constexpr, RUN: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The product of queries and keys of a tile, [lanes, tokens, heads]."""
    PARTS: tl.constexpr = 16 // BITS
    columns = tl.arange(0, padded(COLUMNS))
    inside = held[:, :, None] & (columns < COLUMNS)[None, None, :]
    packed = ()
    for first in tl.static_range(0, PAIRS, COLUMNS):
        places = tokens[:, :, None] * PAIRS + (first + columns)[None, None, :]
        packed += (tl.load(codes_ptr + places, inside, 0),)
    logit = tl.zeros([tokens.shape[0], tokens.shape[1], q[0].shape[2]], tl.float32)
    if CHANNEL:
        lost = tl.zeros([tokens.shape[0], 16, q[0].shape[2]], tl.float32)
        rest = tl.zeros([tokens.shape[0], columns.shape[0], q[0].shape[2]], tl.float32)
        for chunk in tl.static_range(PAIRS // COLUMNS * PARTS):
            scales, middles = levels[chunk]
            codes = shifted_codes(packed[chunk // PARTS], chunk % PARTS, BITS, dtype)
            scaled = rounded(q[chunk] * scales[:, :, None], dtype)
            logit += product(codes, scaled)
            ones = tl.full([tokens.shape[0], 16, columns.shape[0]], shift_of(BITS, chunk % PARTS), tl.float32)
            lost += product(ones.to(dtype), scaled)
            rest += q[chunk] * middles[:, :, None]
        logit += (tl.sum(rest, 1) - tl.max(lost, 1))[:, None, :]
    else:
        for run in tl.static_range(PAIRS * PARTS // RUN):
            scales, middles = levels[run]
            sums = tl.zeros_like(logit)
            whole = tl.zeros([1, q[0].shape[2]], tl.float32)
            shift = tl.zeros([1, q[0].shape[2]], tl.float32)
            for chunk in tl.static_range(PAIRS // COLUMNS * PARTS):
                if first_channel(chunk % PARTS, chunk // PARTS * COLUMNS, PAIRS, BITS) // RUN == run:
                    codes = shifted_codes(packed[chunk // PARTS], chunk % PARTS, BITS, dtype)
                    several = tl.broadcast_to(q[chunk], tokens.shape[0], q[0].shape[1], q[0].shape[2])
                    sums += product(codes, several.to(dtype))
                    whole += tl.sum(q[chunk], 1)
                    shift += shift_of(BITS, chunk % PARTS) * tl.sum(q[chunk], 1)
            logit += (sums - shift[:, None, :]) * scales[:, :, None] + whole[:, None, :] * middles[:, :, None]
    return logit


@triton.jit
def _result(
    result, dtype: tl.constexpr, shrunk, weight, codes_ptr, levels, tokens, held, PAIRS: tl.constexpr,
    BITS: tl.constexpr, CHANNEL: tl.constexpr, RUN: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The result so far, shrunk, and the sum of a tile's weighted values: [lanes, columns, heads] per part."""
    PARTS: tl.constexpr = 16 // BITS
    columns = tl.arange(0, padded(COLUMNS))
    inside = (columns < COLUMNS)[None, :, None] & held[:, None, :]
    sums = ()
    for first in tl.static_range(0, PAIRS, COLUMNS):
        places = tokens[:, None, :] * PAIRS + (first + columns)[None, :, None]
        packed = tl.load(codes_ptr + places, inside, 0)
        for part in tl.static_range(PARTS):
            codes = shifted_codes(packed, part, BITS, dtype)
            if CHANNEL:
                scales, middles = levels[first // COLUMNS * PARTS + part]
                offsets = middles - shift_of(BITS, part) * scales
                whole = tl.sum(weight, 1)[:, None, :]
                added = product(codes, weight.to(dtype)) * scales[:, :, None]
                added += whole * offsets[:, :, None]
            else:
                scales, middles = levels[first_channel(part, first, PAIRS, BITS) // RUN]
                scaled = rounded(weight * scales[:, :, None], dtype)
                rest = weight * middles[:, :, None] - shift_of(BITS, part) * scaled.to(tl.float32)
                added = product(codes, scaled) + tl.sum(rest, 1)[:, None, :]
            sums += (result[first // COLUMNS * PARTS + part] * shrunk[:, None, :] + added,)
    return sums


@triton.jit
def _store(
    results_ptr, result, share, heads, GROUP: tl.constexpr, PAIRS: tl.constexpr,
    BITS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Add up what the lanes have, each with its share."""
    columns = tl.arange(0, padded(COLUMNS))
    inside = (columns[:, None] < COLUMNS) & (heads[None, :] < GROUP)
    for first in tl.static_range(0, PAIRS, COLUMNS):
        for part in tl.static_range(16 // BITS):
            channels = first_channel(part, first, PAIRS, BITS) + 2 * columns
            places = channels[:, None] + heads[None, :] * (PAIRS * 16 // BITS)
            chunk = result[first // COLUMNS * (16 // BITS) + part]
            tl.store(results_ptr + places, tl.sum(chunk * share[:, None, :], 0), inside)

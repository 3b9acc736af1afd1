"""Attention of one token per row over its packed slots, in splits of about 2,048 tokens (flash decoding).

It is `native_attention` with keys and values that are made of codes and scales (see `packed_codes`):

    number = (code - half) * scale + middle

The tensor cores multiply the codes themselves, which are exact in 16 bit. Some scales belong to a group of
the numbers that a product adds up: those of keys along channels, and of values along tokens. Such a scale
multiplies the query or the weight, which is then rounded to the queries' type. All other scales multiply the
result. So codes are never rounded, and with queries of 32 bit nothing is. `middle` is added in 32 bit.

A program takes one split of one KV head of one row, and all query heads that share the KV head. Its warps
take tiles in turn, each within one group of tokens. Each warp keeps sums of its own, which are joined at the
end. So no code is unpacked twice. Tokens and channels are the rows of the products, which have at least 16,
and heads are the columns, which may be eight.

Codes are loaded in pairs of bytes, and two codes become two numbers at once. Each part of a pair makes a
product of its own, with a chunk of the channels. So no numbers need to be put in order. At 2 bits,
the instructions take about as long as the memory does; `benchmarks.packed_instructions` counts them.

Traffic in bytes per row, KV head and layer, with `used` splits of the row's tokens:
    read     the row's codes, scales and zero points  +  used * (group * head_dim * 2 + 4)
    written  used * group * (head_dim + 1) * 4, and 4 * group * tokens if the logits are wanted
and 4 read by each program beyond the row's tokens. Groups of more than 64 tokens have their scales read once
per 64 tokens, by neighbouring warps at the same time.
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
from actors.kernels.packed_codes import first_channel, levels_of, padded
from actors.kernels.packed_sums import logit_of_channels, logit_of_tokens, with_values
from actors.kernels.rounding import rounded
from raysweep.kv_policy import Packing
from raysweep.memory import PACKED_SPLIT

SPLIT = (
    PACKED_SPLIT  # most tokens per program; what it stores for 2 bits is then 3% of what it reads
)
TILE = 64  # most tokens that a warp takes at a time
WARPS = 4  # of a program
TOKEN_TILE = 32  # if all scales belong to tokens: these are kept in registers
COLUMNS = 16  # pairs of bytes of a token that are multiplied at a time, if they can be parted so
# Below all logits; unlike -inf, it can be subtracted from itself.
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
    key_run, value_run = (
        head_dim if axis == "channel" else min(packing.group_size, head_dim)
        for axis in (packing.key_axis, packing.value_axis)
    )
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
        KEY_COLUMNS=_columns(width // 2, key_run),
        VALUE_CHANNEL=packing.value_axis == "channel",
        VALUE_RUN=value_run,
        VALUE_COLUMNS=_columns(width // 2, value_run),
        TOGETHER=together,
        SPLIT=packed_split(packing),
        TILE=min(TILE, max(16, triton.next_power_of_2(together))),
        WARPS=WARPS,
        num_warps=WARPS,
        num_stages=2 if packing.bits == 8 else 3,  # what shared memory has room for
        maxnreg=255,  # else the compiler spills a few for the sake of occupancy
    )


def _together(packing: Packing) -> int:
    """Tokens that tiles may not go beyond."""
    if "channel" in (packing.key_axis, packing.value_axis):
        return packing.group_size
    return TOKEN_TILE


def _columns(pairs: int, run: int) -> int:
    """Pairs of bytes in a chunk, of those of a token. A token's scale belongs to `run` channels."""
    return math.gcd(COLUMNS if pairs % COLUMNS == 0 else pairs, run // 2)


@triton.jit
def _packed_attention(
    q_ptr, key_codes, key_scales, key_zeros, value_codes, value_scales, value_zeros, lengths_ptr,
    results_ptr, lse_ptr, logits_ptr, capacity, splits, first_split, slots, first_slot, scale,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, HEADS: tl.constexpr, HEAD_DIM: tl.constexpr,
    BITS: tl.constexpr, HQQ: tl.constexpr,
    KEY_CHANNEL: tl.constexpr, KEY_RUN: tl.constexpr, KEY_COLUMNS: tl.constexpr,
    VALUE_CHANNEL: tl.constexpr, VALUE_RUN: tl.constexpr, VALUE_COLUMNS: tl.constexpr,
    TOGETHER: tl.constexpr, SPLIT: tl.constexpr, TILE: tl.constexpr, WARPS: tl.constexpr,
):  # fmt: skip
    split = tl.program_id(2)
    length = tl.load(lengths_ptr + tl.program_id(0))
    begin = split * SPLIT
    if begin >= length:
        return
    head = tl.program_id(0).to(tl.int64) * KV_HEADS + tl.program_id(1)
    pairs: tl.constexpr = HEAD_DIM * BITS // 16  # of bytes, per token
    parts: tl.constexpr = (TOGETHER + TILE - 1) // TILE  # tiles of a group
    dtype: tl.constexpr = q_ptr.dtype.element_ty
    key_codes = key_codes.to(tl.pointer_type(tl.uint16)) + head * capacity * pairs
    value_codes = value_codes.to(tl.pointer_type(tl.uint16)) + head * capacity * pairs
    heads = tl.arange(0, HEADS)
    q = _query(q_ptr + head * GROUP * HEAD_DIM, heads, GROUP, HEAD_DIM, BITS, KEY_COLUMNS)
    result = ()
    for _ in tl.static_range(HEAD_DIM // VALUE_COLUMNS):
        result += (tl.zeros([WARPS, padded(VALUE_COLUMNS), HEADS], tl.float32),)
    highest = tl.full([WARPS, HEADS], LOWEST, tl.float32)
    total = tl.zeros([WARPS, HEADS], tl.float32)
    tiles = tl.cdiv(tl.minimum(length - begin, SPLIT), TOGETHER) * parts
    for first in range(0, tiles, WARPS):
        tile = first + tl.arange(0, WARPS)
        group = begin // TOGETHER + tile // parts
        within = (tile % parts * TILE)[:, None] + tl.arange(0, TILE)[None, :]
        tokens = group[:, None] * TOGETHER + within
        used = tile < tiles
        held = (within < TOGETHER) & (tokens < length) & used[:, None]
        key_levels = levels_of(
            key_scales, key_zeros, head, capacity, group, used, tokens, held,
            KEY_CHANNEL, KEY_RUN, KEY_COLUMNS, HEAD_DIM, TOGETHER, BITS, HQQ,
        )  # fmt: skip
        codes = _codes(key_codes, tokens[:, :, None], held[:, :, None], 2, pairs, KEY_COLUMNS)
        if KEY_CHANNEL:
            logit = logit_of_channels(q, codes, key_levels, dtype, TILE, BITS)
        else:
            logit = logit_of_tokens(
                q, codes, key_levels, dtype, HEAD_DIM, BITS, KEY_RUN, KEY_COLUMNS
            )
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
            value_scales, value_zeros, head, capacity, group, used, tokens, held,
            VALUE_CHANNEL, VALUE_RUN, VALUE_COLUMNS, HEAD_DIM, TOGETHER, BITS, HQQ,
        )  # fmt: skip
        codes = _codes(value_codes, tokens[:, None, :], held[:, None, :], 1, pairs, VALUE_COLUMNS)
        result = with_values(
            result, shrunk, weight, codes, value_levels, dtype, HEAD_DIM, BITS, VALUE_CHANNEL,
            VALUE_RUN, VALUE_COLUMNS,
        )  # fmt: skip
    part = (head * splits + first_split + split) * GROUP
    top = tl.max(highest, 0)
    share = tl.exp2(highest - top[None, :])
    total = tl.sum(total * share, 0)
    tl.store(lse_ptr + part + heads, top + tl.log2(total), heads < GROUP)
    share /= total[None, :]
    results_ptr += part * HEAD_DIM
    _store(results_ptr, result, share, heads, GROUP, HEAD_DIM, BITS, VALUE_COLUMNS)


@triton.jit
def _query(
    q_ptr, heads, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, BITS: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """The query heads, [1, columns, heads] for each chunk of channels."""
    columns = tl.arange(0, padded(COLUMNS))[None, :, None]
    inside = (columns < COLUMNS) & (heads < GROUP)[None, None, :]
    q = ()
    for chunk in tl.static_range(HEAD_DIM // COLUMNS):
        channels = first_channel(chunk, HEAD_DIM, BITS, COLUMNS) + 2 * columns
        chosen = tl.load(q_ptr + heads[None, None, :] * HEAD_DIM + channels, inside, 0.0)
        q += (chosen.to(tl.float32),)
    return q


@triton.jit
def _codes(codes_ptr, tokens, held, DIM: tl.constexpr, PAIRS: tl.constexpr, COLUMNS: tl.constexpr):
    """Pairs of bytes of some tokens, with columns in dimension DIM: a tile for each COLUMNS of PAIRS."""
    columns = tl.expand_dims(tl.arange(0, padded(COLUMNS)), [0, 3 - DIM])
    packed = ()
    for first in tl.static_range(0, PAIRS, COLUMNS):
        places = codes_ptr + tokens * PAIRS + first + columns
        packed += (tl.load(places, held & (columns < COLUMNS), 0),)
    return packed


@triton.jit
def _store(
    results_ptr, result, share, heads, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr,
    BITS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Add up what the warps have, each with its share."""
    columns = tl.arange(0, padded(COLUMNS))[:, None]
    inside = (columns < COLUMNS) & (heads < GROUP)[None, :]
    for chunk in tl.static_range(len(result)):
        channels = first_channel(chunk, HEAD_DIM, BITS, COLUMNS) + 2 * columns
        whole = tl.sum(result[chunk] * share[:, None, :], 0)
        tl.store(results_ptr + heads[None, :] * HEAD_DIM + channels, whole, inside)

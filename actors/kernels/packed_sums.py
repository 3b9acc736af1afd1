"""What attention adds up over packed keys and values, with products of their codes (see `packed_codes`).

q       the queries, [1, columns, heads] in 32 bit for each chunk of channels
packed  pairs of bytes of a tile of tokens, with columns behind tokens for keys and before them for values
levels  scales and middles of these tokens
"""

# Triton unrolls static_range, which Python cannot iterate over:
# pyright: reportGeneralTypeIssues=false

import triton
import triton.language as tl

from actors.kernels.packed_codes import first_channel, shift_of, shifted_codes
from actors.kernels.products import product
from actors.kernels.rounding import rounded


@triton.jit
def logit_of_channels(
    q, packed, levels, dtype: tl.constexpr, TILE: tl.constexpr, BITS: tl.constexpr
):  # fmt: skip
    """The product of queries and keys, [warps, tokens, heads], if scales belong to channels."""
    parts: tl.constexpr = 16 // BITS
    warps: tl.constexpr = levels[0][0].shape[0]
    columns: tl.constexpr = q[0].shape[1]
    heads: tl.constexpr = q[0].shape[2]
    logit = tl.zeros([warps, TILE, heads], tl.float32)
    middle = tl.zeros([warps, columns, heads], tl.float32)
    above = tl.zeros([warps, 16, heads], tl.float32)  # what SHIFT adds, in each of 16 rows
    for chunk in tl.static_range(len(q)):
        codes = shifted_codes(packed[chunk // parts], chunk % parts, BITS, dtype)
        scales, middles = levels[chunk]
        scaled = rounded(q[chunk] * scales[:, :, None], dtype)
        logit += product(codes, scaled)
        shift = tl.full([warps, 16, columns], shift_of(BITS, chunk % parts), tl.float32)
        above += product(shift.to(dtype), scaled)
        middle += q[chunk] * middles[:, :, None]
    return logit + (tl.sum(middle, 1) - tl.max(above, 1))[:, None, :]


@triton.jit
def logit_of_tokens(
    q, packed, levels, dtype: tl.constexpr, HEAD_DIM: tl.constexpr, BITS: tl.constexpr,
    RUN: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The product of queries and keys, [warps, tokens, heads], if scales belong to tokens."""
    parts: tl.constexpr = 16 // BITS
    warps: tl.constexpr = levels[0][0].shape[0]
    heads: tl.constexpr = q[0].shape[2]
    logit = tl.zeros([warps, levels[0][0].shape[1], heads], tl.float32)
    for run in tl.static_range(len(levels)):
        sums = tl.zeros_like(logit)
        whole = tl.zeros([1, heads], tl.float32)
        above = tl.zeros([1, heads], tl.float32)
        for chunk in tl.static_range(len(q)):
            if first_channel(chunk, HEAD_DIM, BITS, COLUMNS) // RUN == run:
                codes = shifted_codes(packed[chunk // parts], chunk % parts, BITS, dtype)
                several = tl.broadcast_to(q[chunk], warps, q[chunk].shape[1], heads)
                sums += product(codes, several.to(dtype))
                whole += tl.sum(q[chunk], 1)
                above += shift_of(BITS, chunk % parts) * tl.sum(q[chunk], 1)
        scales, middles = levels[run]
        logit += (sums - above[:, None, :]) * scales[:, :, None]
        logit += whole[:, None, :] * middles[:, :, None]
    return logit


@triton.jit
def with_values(
    result, shrunk, weight, packed, levels, dtype: tl.constexpr, HEAD_DIM: tl.constexpr,
    BITS: tl.constexpr, CHANNEL: tl.constexpr, RUN: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The result so far, shrunk, and a tile's weighted values: [warps, columns, heads] for each chunk."""
    parts: tl.constexpr = 16 // BITS
    sums = ()
    for chunk in tl.static_range(len(result)):
        codes = shifted_codes(packed[chunk // parts], chunk % parts, BITS, dtype)
        shift = shift_of(BITS, chunk % parts)
        if CHANNEL:
            scales, middles = levels[chunk]
            offsets = (middles - shift * scales)[:, :, None] * tl.sum(weight, 1)[:, None, :]
            added = product(codes, weight.to(dtype)) * scales[:, :, None] + offsets
        else:
            scales, middles = levels[first_channel(chunk, HEAD_DIM, BITS, COLUMNS) // RUN]
            scaled = rounded(weight * scales[:, :, None], dtype)
            offsets = weight * middles[:, :, None] - shift * scaled.to(tl.float32)
            added = product(codes, scaled) + tl.sum(offsets, 1)[:, None, :]
        sums += (result[chunk] * shrunk[:, None, :] + added,)
    return sums

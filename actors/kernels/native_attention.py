"""Attention of one token per row over its native slots, in splits of SPLIT tokens (flash decoding).

    logit(t)  = q key(t) * head_dim^-0.5
    lse       = log2 of the sum over a split's tokens of 2^(logit(t) * log2 e)
    result    = sum of 2^(logit(t) * log2 e - lse) * value(t)

A program takes one split of one KV head of one row, and all query heads that share the KV head. So keys and
values are read once. Splits begin at fixed tokens, so that a row's result depends on its own tokens alone. A
program beyond the row's tokens ends at once, and `join_attention` does not read what it would have stored.

All is in 32 bit but the operands of the products: queries, keys and values come in 16 bit, and weights are
rounded to the type of the values. Their sum is taken of the rounded weights, which so add up to 1.

Traffic in bytes per row, KV head and layer, with `used` splits of the row's tokens:
    read     tokens * head_dim * 2 * 2  +  used * (group * head_dim * 2 + 4)
    written  used * group * (head_dim + 1) * 4, and 4 * group * tokens if the logits are wanted
and 4 read by each program beyond the row's tokens.
"""

import math

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.products import product
from actors.kernels.rounding import rounded
from raysweep.memory import NATIVE_SPLIT

SPLIT = NATIVE_SPLIT  # tokens per program: what it stores is then 2% of what it reads
BLOCK = {2: 64, 4: 16}  # tokens that a program takes at a time, by bytes per number
LOG2_E = math.log2(math.e)


def native_splits(capacity: int) -> int:
    """Splits of that many slots."""
    return -(-capacity // SPLIT)


def native_attention(
    q: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    lengths: torch.Tensor,
    results: torch.Tensor,
    lse: torch.Tensor,
    logits: torch.Tensor | None = None,
) -> None:
    """Write each split's result and log-sum-exp.

    q             [n, heads, head_dim], rotated
    keys, values  [rows, kv_heads, capacity, head_dim] with at least n rows
    lengths       [n], int32: the tokens of each row, in its first slots
    results       [rows, kv_heads, splits, group, head_dim], 32 bit; this kernel's splits are the first ones
    lse           [rows, kv_heads, splits, group], 32 bit, to base 2
    logits        [rows, kv_heads, group, slots], 32 bit, times log2 e; the native slots are the first ones
    """
    n, heads, head_dim = q.shape
    _, kv_heads, capacity, _ = keys.shape
    launching.launch(
        _native_attention,
        (n, kv_heads, native_splits(capacity)),
        *(q, keys, values, lengths, results, lse, logits),
        *(capacity, lse.shape[2], 0 if logits is None else logits.shape[3]),
        head_dim**-0.5 * LOG2_E,
        KV_HEADS=kv_heads,
        GROUP=heads // kv_heads,
        HEADS=max(16, triton.next_power_of_2(heads // kv_heads)),
        HEAD_DIM=head_dim,
        WIDTH=max(16, triton.next_power_of_2(head_dim)),
        SPLIT=SPLIT,
        BLOCK=BLOCK[keys.element_size()],
        num_warps=4,
        num_stages=3,
    )


@triton.jit
def _native_attention(
    q_ptr, keys_ptr, values_ptr, lengths_ptr, results_ptr, lse_ptr, logits_ptr, capacity, splits, slots,
    scale, KV_HEADS: tl.constexpr, GROUP: tl.constexpr, HEADS: tl.constexpr, HEAD_DIM: tl.constexpr,
    WIDTH: tl.constexpr, SPLIT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    split = tl.program_id(2)
    length = tl.load(lengths_ptr + tl.program_id(0))
    begin = split * SPLIT
    if begin >= length:
        return
    head = tl.program_id(0).to(tl.int64) * KV_HEADS + tl.program_id(1)
    heads, channels = tl.arange(0, HEADS), tl.arange(0, WIDTH)
    places = heads[:, None] * HEAD_DIM + channels[None, :]
    inside = (heads[:, None] < GROUP) & (channels[None, :] < HEAD_DIM)
    q = tl.load(q_ptr + head * GROUP * HEAD_DIM + places, inside, 0.0)
    keys_ptr += head * capacity * HEAD_DIM
    values_ptr += head * capacity * HEAD_DIM
    highest = tl.full([HEADS], float("-inf"), tl.float32)
    total = tl.zeros([HEADS], tl.float32)
    result = tl.zeros([HEADS, WIDTH], tl.float32)
    for start in range(begin, tl.minimum(begin + SPLIT, length), BLOCK):
        tokens = start + tl.arange(0, BLOCK)
        held = tokens < length
        transposed = (channels[:, None] < HEAD_DIM) & held[None, :]
        key = tl.load(keys_ptr + tokens[None, :] * HEAD_DIM + channels[:, None], transposed, 0.0)
        logit = tl.where(held[None, :], product(q, key) * scale, float("-inf"))
        if logits_ptr is not None:
            line = logits_ptr + (head * GROUP + heads[:, None]) * slots
            tl.store(line + tokens[None, :], logit, (heads[:, None] < GROUP) & held[None, :])
        above = tl.maximum(highest, tl.max(logit, 1))
        weight = rounded(tl.exp2(logit - above[:, None]), values_ptr.dtype.element_ty)
        shrunk = tl.exp2(highest - above)
        there = held[:, None] & (channels[None, :] < HEAD_DIM)
        value = tl.load(values_ptr + tokens[:, None] * HEAD_DIM + channels[None, :], there, 0.0)
        total = total * shrunk + tl.sum(weight.to(tl.float32), 1)
        result = result * shrunk[:, None] + product(weight, value)
        highest = above
    part = head * splits + split
    tl.store(results_ptr + part * GROUP * HEAD_DIM + places, result / total[:, None], inside)
    tl.store(lse_ptr + part * GROUP + heads, highest + tl.log2(total), heads < GROUP)

"""Attention over all tokens of a row, joined from its splits.

    lse  = log2 of the sum over splits of 2^lse(split)
    out  = sum over splits of 2^(lse(split) - lse) * result(split)

A program takes one query head of one row. It reads the splits that hold tokens of the row: the native ones
first, then the packed ones. They are added in that order whatever the capacities are. A row without tokens
gets zeros.

Traffic in bytes per row, query head and layer, with `used` native and packed splits of the row's tokens:
    read     used * (head_dim + 1) * 4  +  4 per kind of slot
    written  head_dim * 2, and 4 if the log-sum-exp is wanted
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.rounding import rounded

BLOCK = 16  # splits that are added at a time


def join_attention(
    results: torch.Tensor,
    lse: torch.Tensor,
    lengths: torch.Tensor,
    split: int,
    out: torch.Tensor,
    out_lse: torch.Tensor | None = None,
    packed_lengths: torch.Tensor | None = None,
    packed_split: int = 1,
    first_packed: int = 0,
) -> None:
    """Write each row's attention, and the log-sum-exp of its logits if it is wanted.

    results, lse              what `native_attention` and `packed_attention` have stored
    lengths, packed_lengths   [n], int32: tokens of each row; packed ones are None if no slots are packed
    split, packed_split       tokens per split
    first_packed              the first packed split: as many as there are native ones
    out                       [n, heads * head_dim]
    out_lse                   [rows, heads], 32 bit, to base 2
    """
    _, kv_heads, splits, group, head_dim = results.shape
    n, heads = len(out), kv_heads * group
    launching.launch(
        _join_attention,
        (n, heads),
        *(results, lse, lengths, packed_lengths, out, out_lse, splits, first_packed),
        KV_HEADS=kv_heads,
        GROUP=group,
        HEAD_DIM=head_dim,
        WIDTH=triton.next_power_of_2(head_dim),
        SPLIT=split,
        PACKED_SPLIT=packed_split,
        BLOCK=BLOCK,
        num_warps=4,
    )


@triton.jit
def _join_attention(
    results_ptr, lse_ptr, lengths_ptr, packed_lengths_ptr, out_ptr, out_lse_ptr, splits, first_packed,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr,
    SPLIT: tl.constexpr, PACKED_SPLIT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    native = tl.cdiv(tl.load(lengths_ptr + row), SPLIT)
    used = native
    if packed_lengths_ptr is not None:
        used += tl.cdiv(tl.load(packed_lengths_ptr + row), PACKED_SPLIT)
    channels = tl.arange(0, WIDTH)
    highest = float("-inf")
    total = 0.0
    out = tl.zeros([WIDTH], tl.float32)
    for start in range(0, used, BLOCK):
        order = start + tl.arange(0, BLOCK)
        split = tl.where(order < native, order, order - native + first_packed)
        place = ((row * KV_HEADS + head // GROUP) * splits + split) * GROUP + head % GROUP
        lse = tl.load(lse_ptr + place, order < used, float("-inf"))
        inside = (order < used)[:, None] & (channels < HEAD_DIM)[None, :]
        result = tl.load(results_ptr + place[:, None] * HEAD_DIM + channels[None, :], inside, 0.0)
        above = tl.maximum(highest, tl.max(lse, 0))
        shrunk, weight = tl.exp2(highest - above), tl.exp2(lse - above)
        total = total * shrunk + tl.sum(weight, 0)
        out = out * shrunk + tl.sum(weight[:, None] * result, 0)
        highest = above
    total = tl.maximum(total, 1.0)  # what it is at least, unless the row holds nothing
    heads = KV_HEADS * GROUP
    out = rounded(out / total, out_ptr.dtype.element_ty)
    tl.store(out_ptr + (row * heads + head) * HEAD_DIM + channels, out, channels < HEAD_DIM)
    if out_lse_ptr is not None:
        tl.store(out_lse_ptr + row * heads + head, highest + tl.log2(total))

"""The attention that each token has received so far, of which h2o keeps the highest.

    attention(t) += sum over the query heads of a KV head of 2^(logit(t) - lse)

A program takes BLOCK slots of one KV head of one row, native or packed ones. A row beyond the batch in this
step (its slot is -1) adds nothing.

Traffic in bytes per row, KV head and layer:
    read     tokens * (group + 1) * 4  and  group * 4 + 8 per block that holds tokens
    written  tokens * 4
and 8 read by each program without tokens, 4 if its row is beyond the batch.
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching

BLOCK = 512  # slots per program


def received_attention(
    logits: torch.Tensor,
    lse: torch.Tensor,
    slots: torch.Tensor,
    attention: torch.Tensor,
    lengths: torch.Tensor,
    packed_attention: torch.Tensor | None = None,
    packed_lengths: torch.Tensor | None = None,
) -> None:
    """Add the attention of one step to each token's sum.

    logits   [rows, kv_heads, group, native + packed slots], 32 bit, times log2 e
    lse      [rows, kv_heads * group], 32 bit, to base 2, as `join_attention` writes it
    slots    [n], int32: -1 for rows beyond the batch
    attention, packed_attention  [rows, kv_heads, slots], 32 bit
    lengths, packed_lengths      [n], int32: tokens of each row
    """
    _, kv_heads, group, total = logits.shape
    native = attention.shape[2]
    blocks = -(-native // BLOCK)
    packed_blocks = -(-(total - native) // BLOCK)
    launching.launch(
        _received_attention,
        (len(slots), kv_heads, blocks + packed_blocks),
        *(logits, lse, slots, attention, lengths, packed_attention, packed_lengths),
        *(native, total, blocks),
        KV_HEADS=kv_heads,
        GROUP=group,
        HEADS=triton.next_power_of_2(group),
        BLOCK=BLOCK,
        num_warps=4,
    )


@triton.jit
def _received_attention(
    logits_ptr, lse_ptr, slots_ptr, attention_ptr, lengths_ptr, packed_attention_ptr,
    packed_lengths_ptr, native, total, blocks, KV_HEADS: tl.constexpr, GROUP: tl.constexpr,
    HEADS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, block = tl.program_id(0).to(tl.int64), tl.program_id(2)
    if tl.load(slots_ptr + row) < 0:
        return
    head = row * KV_HEADS + tl.program_id(1)
    logits_ptr += head * GROUP * total
    lse_ptr += head * GROUP
    if block < blocks:
        length = tl.load(lengths_ptr + row)
        sums = attention_ptr + head * native
        _add(logits_ptr, lse_ptr, sums, block * BLOCK, length, total, GROUP, HEADS, BLOCK)
    elif packed_attention_ptr is not None:
        length = tl.load(packed_lengths_ptr + row)
        sums = packed_attention_ptr + head * (total - native)
        begin = (block - blocks) * BLOCK
        _add(logits_ptr + native, lse_ptr, sums, begin, length, total, GROUP, HEADS, BLOCK)


@triton.jit
def _add(
    logits_ptr, lse_ptr, sums_ptr, begin, length, total,
    GROUP: tl.constexpr, HEADS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Add to the sums of one block of slots."""
    if begin < length:
        heads, tokens = tl.arange(0, HEADS), begin + tl.arange(0, BLOCK)
        held = tokens < length
        lse = tl.load(lse_ptr + heads, heads < GROUP, 0.0)
        inside = (heads[:, None] < GROUP) & held[None, :]
        places = heads[:, None] * total + tokens[None, :]
        logit = tl.load(logits_ptr + places, inside, float("-inf"))
        received = tl.sum(tl.exp2(logit - lse[:, None]), 0)
        before = tl.load(sums_ptr + tokens, held, 0.0)
        tl.store(sums_ptr + tokens, before + received, held)

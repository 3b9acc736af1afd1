"""Moves the chosen entries of rows to their front, in place.

    entry t of a row's head becomes what entry chosen_t was

Twin: `actors.kv_cache.slots.Slots.keep`. The chosen entries ascend, so none lies before the place that it
moves to. A program goes from old to new, and reads ENTRIES entries before it writes any of them. It alone
reads and writes its part of each entry, and what it overwrites it has read. Entries that lie where they
belong are not touched. Bytes, per KV head with C chosen entries of B bytes, of which M move, in P parts:

    P 4 C + M B     are read
    M B             are written
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.lanes import offset_of

ENTRIES = 512  # read at a time, so that few reads wait for one another
PART = 64  # bytes of an entry that a program moves: what memory hands over at once


@triton.jit
def _gather(
    lane, rows, chosen, count, row_stride, head_stride, entry_stride,
    WIDTH: tl.constexpr, PART: tl.constexpr, ENTRIES: tl.constexpr,
):  # fmt: skip
    part, head, due = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    lane += offset_of(rows, due, head, row_stride, head_stride)
    chosen += (due * tl.num_programs(1) + head).to(tl.int64) * count
    number = part * PART + tl.arange(0, PART)
    has = number < WIDTH
    for start in range(0, count, ENTRIES):
        target = start + tl.arange(0, ENTRIES)
        source = tl.load(chosen + target, target < count, other=0)
        moves = ((target < count) & (source != target))[:, None] & has[None, :]
        entries = tl.load(lane + source[:, None] * entry_stride + number[None, :], moves)
        tl.debug_barrier()
        tl.store(lane + target[:, None] * entry_stride + number[None, :], entries, moves)


def gather(lane: torch.Tensor, rows: torch.Tensor, chosen: torch.Tensor) -> None:
    """Move the chosen entries of one layer's lane to the front, in their order.

    lane    [rows, kv_heads, entries] or [rows, kv_heads, entries, width] of any type; its last dimension is
            contiguous
    rows    int32 [due], the rows to work on, each once
    chosen  int32 [due, kv_heads, count], ascending
    """
    due, kv_heads, count = chosen.shape
    if lane.ndim == 3:
        lane = lane.unsqueeze(3)
    width = lane.shape[3]
    part = PART // lane.itemsize
    launching.launch(
        _gather, (-(-width // part), kv_heads, due),
        lane, rows, chosen, count, *lane.stride()[:3],
        WIDTH=width, PART=part, ENTRIES=ENTRIES, num_warps=8,
    )  # fmt: skip

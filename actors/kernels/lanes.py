"""Where the numbers of a row's head begin in one layer's lane [rows, kv_heads, entries, ...].

The rows to work on are given by their indices, so that their entries are read where they lie.
"""

import triton
import triton.language as tl


@triton.jit
def offset_of(rows, due, head, row_stride, head_stride):
    """The 64-bit offset of a head of row rows[due]; a lane can have more than 2**31 numbers."""
    row = tl.load(rows + due).to(tl.int64)
    return row * row_stride + head.to(tl.int64) * head_stride

"""The length of each key, and the sum of all keys' directions.

    norm_i = |k_i| + TINY        direction_i = k_i / norm_i        sum = direction_1 + direction_2 + ...

Each program adds up the directions of TOKENS keys, and torch adds up the programs' sums, so the order of the
additions is always the same. Bytes, per KV head of S keys of D numbers of b bytes:

    S D b                            keys are read
    4 S + 4 D ceil(S / TOKENS)       norms and sums are written
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.lanes import offset_of
from actors.kv.r_kv import TINY

TOKENS = 128


@triton.jit
def _key_sums(
    keys, rows, norms, sums, tokens, row_stride, head_stride,
    HEAD_DIM: tl.constexpr, TOKENS: tl.constexpr, TINY: tl.constexpr,
):  # fmt: skip
    part, head, due = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    channels = tl.arange(0, triton.next_power_of_2(HEAD_DIM))
    token = part * TOKENS + tl.arange(0, TOKENS)
    present = token < tokens
    keys += offset_of(rows, due, head, row_stride, head_stride)
    mask = present[:, None] & (channels < HEAD_DIM)[None, :]
    k = tl.load(keys + token[:, None] * HEAD_DIM + channels[None, :], mask, other=0.0)
    k = k.to(tl.float32)
    norm = tl.sqrt_rn(tl.sum(k * k, 1)) + TINY
    made = due * tl.num_programs(1) + head
    tl.store(norms + made * tokens + token, norm, present)
    sums += (made * tl.num_programs(0) + part) * HEAD_DIM
    tl.store(sums + channels, tl.sum(k / norm[:, None], 0), channels < HEAD_DIM)


def key_sums(keys: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Norms [due, kv_heads, tokens] and the sums of directions [due, kv_heads, head_dim], in 32 bit.

    keys  [rows, kv_heads, tokens, head_dim] of 16 or 32 bit; the last two dimensions are contiguous
    rows  int32 [due], the rows to work on
    """
    due, (_, kv_heads, tokens, head_dim) = len(rows), keys.shape
    parts = -(-tokens // TOKENS)
    norms = keys.new_empty(due, kv_heads, tokens, dtype=torch.float32)
    sums = keys.new_empty(due, kv_heads, parts, head_dim, dtype=torch.float32)
    launching.launch(
        _key_sums, (parts, kv_heads, due),
        keys, rows, norms, sums, tokens, keys.stride(0), keys.stride(1),
        HEAD_DIM=head_dim, TOKENS=TOKENS, TINY=TINY, num_warps=8,
    )  # fmt: skip
    return norms, sums.sum(2)

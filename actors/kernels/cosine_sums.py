"""The sum of a key's cosines to all other keys, without the pairs that `newest_alike` has found.

    sum_j = sum over i other than j of cos_ij - sum over i with newest_i = j of cos_ij
          = d_j (sum of all d_i - d_j)        - spared_j

d is a key's direction. So all pairs never need to be added up. Many tokens can have the same newest one;
their cosines are added up as integers, in units of 2^-40, because the order of atomic additions varies.
Bytes, per KV head of S keys of D numbers of b bytes, where each token that has a newest one reads that too:

    at most S (2 D b + 12) + 4 D ceil(S / TOKENS)     are read
    at most S (4 + 16)                                are written, or read and written
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.lanes import offset_of

TOKENS = 64
UNIT = 2.0**-40  # 2^23 cosines of 1 fit into 64 bit


@triton.jit
def _cosine_sums(
    keys, rows, norms, directions, newest, sums, spared, tokens, row_stride, head_stride,
    HEAD_DIM: tl.constexpr, TOKENS: tl.constexpr, UNIT: tl.constexpr,
):  # fmt: skip
    part, head, due = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    made = due * tl.num_programs(1) + head
    keys += offset_of(rows, due, head, row_stride, head_stride)
    channels = tl.arange(0, triton.next_power_of_2(HEAD_DIM))
    has = channels < HEAD_DIM
    token = part * TOKENS + tl.arange(0, TOKENS)
    present = token < tokens
    mask = present[:, None] & has[None, :]

    norm = tl.load(norms + made * tokens + token, present, other=1.0)
    own = tl.load(keys + token[:, None] * HEAD_DIM + channels[None, :], mask, other=0.0)
    own = own.to(tl.float32) / norm[:, None]
    all_directions = tl.load(directions + made * HEAD_DIM + channels, has, other=0.0)
    tl.store(
        sums + made * tokens + token, tl.sum(own * (all_directions[None, :] - own), 1), present
    )

    place = tl.load(newest + made * tokens + token, present, other=0)
    counts = present & (place != token)  # the oldest token, if nothing resembles it, spares nothing
    norm = tl.load(norms + made * tokens + place, counts, other=1.0)
    mask = counts[:, None] & has[None, :]
    other = tl.load(keys + place[:, None] * HEAD_DIM + channels[None, :], mask, other=0.0)
    cosine = tl.sum(own * (other.to(tl.float32) / norm[:, None]), 1)
    units = (cosine / UNIT).to(tl.int64)
    tl.atomic_add(spared + made * tokens + place, units, counts, sem="relaxed")


def cosine_sums(
    keys: torch.Tensor,
    rows: torch.Tensor,
    norms: torch.Tensor,
    directions: torch.Tensor,
    newest: torch.Tensor,
) -> torch.Tensor:
    """[due, kv_heads, tokens] in 32 bit.

    keys               [rows, kv_heads, tokens, head_dim]; the last two dimensions are contiguous
    rows               int32 [due], the rows to work on
    norms, directions  as `key_sums` makes them
    newest             int32 [due, kv_heads, tokens], as `newest_alike` makes it
    """
    due, (_, kv_heads, tokens, head_dim) = len(rows), keys.shape
    sums = torch.empty_like(norms)
    spared = torch.zeros_like(norms, dtype=torch.int64)
    launching.launch(
        _cosine_sums, (-(-tokens // TOKENS), kv_heads, due),
        keys, rows, norms, directions, newest, sums, spared, tokens, keys.stride(0), keys.stride(1),
        HEAD_DIM=head_dim, TOKENS=TOKENS, UNIT=UNIT, num_warps=8,
    )  # fmt: skip
    return sums - spared * UNIT

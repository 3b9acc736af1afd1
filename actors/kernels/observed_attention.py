"""Attention of the observed queries to the tokens older than them.

    importance_j = mean over the queries w of softmax over j of logit_wj
    logit_wj     = max over the group's heads g of q_gw k_j / sqrt(head_dim)

Twin: `actors.kv.eviction.observed_attention`. Each key is read once, and multiplied by all queries of its
group. The kernel here writes the logits, with the maximum and the sum of powers of each TOKENS of them, from
which `mean_softmax` makes the importance. Bytes, per KV head of S older keys and G query heads with W queries
each, all of D numbers of b bytes, with P = ceil(S / TOKENS):

    S D b + P G W D b      keys are read once, queries by each program
    4 W S + 8 W P          logits, maxima and sums are written
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.lanes import offset_of
from actors.kernels.mean_softmax import mean_softmax
from actors.kernels.products import product

TOKENS = 128


@triton.jit
def _observed_logits(
    keys, rows, queries, logits, maxima, sums, older, row_stride, head_stride, scale,
    HEAD_DIM: tl.constexpr, GROUP: tl.constexpr, OBSERVED: tl.constexpr, TOKENS: tl.constexpr,
):  # fmt: skip
    part, head, due = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    parts = tl.num_programs(0)
    made = (due * tl.num_programs(1) + head) * OBSERVED
    keys += offset_of(rows, due, head, row_stride, head_stride)
    queries += made * GROUP * HEAD_DIM
    channels = tl.arange(0, max(16, triton.next_power_of_2(HEAD_DIM)))
    has = channels < HEAD_DIM
    token = part * TOKENS + tl.arange(0, TOKENS)
    exists = token < older
    places = token[:, None] * HEAD_DIM + channels[None, :]
    k = tl.load(keys + places, exists[:, None] & has[None, :], other=0.0)

    for first in range(0, OBSERVED, 16):
        query = first + tl.arange(0, 16)
        asked = query < OBSERVED
        largest = tl.full([TOKENS, 16], float("-inf"), tl.float32)
        for member in range(GROUP):
            of = queries + (member * OBSERVED + query[None, :]) * HEAD_DIM + channels[:, None]
            q = tl.load(of, has[:, None] & asked[None, :], other=0.0)
            largest = tl.maximum(largest, product(k, q))
        largest = tl.where(exists[:, None], largest * scale, float("-inf"))
        maximum = tl.max(largest, 0)
        powers = tl.exp(largest - maximum[None, :])
        at = (made + query[None, :]) * older + token[:, None]
        tl.store(logits + at, largest, exists[:, None] & asked[None, :])
        tl.store(maxima + (made + query) * parts + part, maximum, asked)
        tl.store(sums + (made + query) * parts + part, tl.sum(powers, 0), asked)


def observed_attention(
    keys: torch.Tensor, queries: torch.Tensor, window: int, rows: torch.Tensor | None = None
) -> torch.Tensor:
    """[due, kv_heads, tokens - window] in 32 bit.

    keys     [rows, kv_heads, tokens, head_dim] of 16 or 32 bit; the last two dimensions are contiguous
    queries  [due, kv_heads, group, observed, head_dim], taken in the type of the keys
    window   newest tokens, which are not scored
    rows     int32 [due], the rows to work on; None for all
    """
    if rows is None:
        rows = torch.arange(len(keys), dtype=torch.int32, device=keys.device)
    due, kv_heads, group, observed, head_dim = queries.shape
    older = keys.shape[2] - window
    parts = -(-older // TOKENS)
    logits = keys.new_empty(due, kv_heads, observed, older, dtype=torch.float32)
    maxima = keys.new_empty(due, kv_heads, observed, parts, dtype=torch.float32)
    sums = torch.empty_like(maxima)
    launching.launch(
        _observed_logits, (parts, kv_heads, due),
        keys, rows, queries.to(keys.dtype).contiguous(), logits, maxima, sums, older,
        keys.stride(0), keys.stride(1), head_dim**-0.5,
        HEAD_DIM=head_dim, GROUP=group, OBSERVED=observed, TOKENS=TOKENS, num_warps=8,
    )  # fmt: skip
    return mean_softmax(logits, maxima, sums)

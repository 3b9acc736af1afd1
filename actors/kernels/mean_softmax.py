"""The mean over queries of the softmax over tokens, from logits whose parts' maxima and sums are known.

    top_w   = max over parts p of maximum_wp
    total_w = sum over parts p of sum_wp exp(maximum_wp - top_w)
    mean_j  = mean over queries w of exp(logit_wj - top_w) / total_w

Bytes, per KV head of S tokens, W queries and P parts:

    4 W S + 8 W P ceil(S / TOKENS)    logits are read once, maxima and sums by each program
    4 S                               means are written
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching

TOKENS = 512


@triton.jit
def _mean_softmax(
    logits, maxima, sums, means, tokens, parts,
    OBSERVED: tl.constexpr, PARTS: tl.constexpr, TOKENS: tl.constexpr,
):  # fmt: skip
    tile, head = tl.program_id(0), tl.program_id(1).to(tl.int64)
    token = tile * TOKENS + tl.arange(0, TOKENS)
    part = tl.arange(0, PARTS)
    mean = tl.zeros([TOKENS], tl.float32)
    for query in range(OBSERVED):
        made = head * OBSERVED + query
        maximum = tl.load(maxima + made * parts + part, part < parts, other=float("-inf"))
        share = tl.load(sums + made * parts + part, part < parts, other=0.0)
        top = tl.max(maximum, 0)
        total = tl.sum(share * tl.exp(maximum - top), 0)
        logit = tl.load(logits + made * tokens + token, token < tokens, other=float("-inf"))
        mean += tl.exp(logit - top) / total
    tl.store(means + head * tokens + token, mean / OBSERVED, token < tokens)


def mean_softmax(logits: torch.Tensor, maxima: torch.Tensor, sums: torch.Tensor) -> torch.Tensor:
    """[due, kv_heads, tokens] in 32 bit.

    logits  [due, kv_heads, queries, tokens]
    maxima  [due, kv_heads, queries, parts], the largest logit of each part of the tokens
    sums    [due, kv_heads, queries, parts], the sum of exp(logit - maximum) over each part
    """
    due, kv_heads, observed, tokens = logits.shape
    parts = maxima.shape[3]
    means = logits.new_empty(due, kv_heads, tokens)
    launching.launch(
        _mean_softmax, (-(-tokens // TOKENS), due * kv_heads),
        logits, maxima, sums, means, tokens, parts,
        OBSERVED=observed, PARTS=triton.next_power_of_2(parts), TOKENS=TOKENS, num_warps=4,
    )  # fmt: skip
    return means

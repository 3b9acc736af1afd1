"""Indices of the tokens that a compaction keeps: the best of the older ones, and all of the window.

    chosen = the `count` older tokens with the highest scores, oldest first, then the window

Twin: `actors.kv.eviction.best`. Of equal scores the older one is kept. Nothing is sorted. A score's bits,
read as a number without sign, order as the scores do. The lowest score that is kept is found digit by digit,
in four rounds: each counts how many scores have which next digit, among those that share the digits found so
far. A last round keeps all higher scores, and of the equal ones the first; running sums say where they go.
One program does this for a head, whose scores stay in the nearest cache meanwhile. Bytes, per KV head of S
older tokens:

    5 x 4 S                are read, 4 x 4 S of them from the nearest cache
    4 (count + window)     are written
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching

BLOCK = 4096  # scores that are handled at a time
SIGN = tl.constexpr(0x80000000)
ALL = tl.constexpr(0xFFFFFFFF)


@triton.jit(do_not_specialize=["count"])  # 1 would become a constant, which a loop cannot change
def _keep_best(
    scores, chosen, older, count, window, due_stride, head_stride,
    BLOCK: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    head, due = tl.program_id(0), tl.program_id(1)
    scores += due.to(tl.int64) * due_stride + head.to(tl.int64) * head_stride
    chosen += (due * tl.num_programs(0) + head).to(tl.int64) * (count + window)
    newest = tl.arange(0, WINDOW)
    tl.store(chosen + count + newest, older + newest, newest < window)

    digits = tl.arange(0, 256)
    lowest = tl.full([], 0, tl.uint32)  # the digits found so far
    room = count  # for scores that share them
    for later in range(24, -1, -8):  # bits that follow the digit
        having = tl.zeros([256], tl.int32)
        for start in range(0, older, BLOCK):
            token = start + tl.arange(0, BLOCK)
            rank, exists = _ranks(scores, token, older), token < older
            shared = exists & (rank >> later >> 8 == lowest)
            having += tl.histogram((rank >> later & 255).to(tl.int32), 256, shared)
        at_least = tl.sum(having, 0) - tl.cumsum(having, 0) + having
        digit = tl.sum((at_least >= room).to(tl.int32), 0) - 1
        room -= tl.sum(tl.where(digits > digit, having, 0), 0)
        lowest = lowest * 256 + digit.to(tl.uint32)

    better_before, equal_before = 0, 0
    for start in range(0, older, BLOCK):
        token = start + tl.arange(0, BLOCK)
        rank, exists = _ranks(scores, token, older), token < older
        better, equal = exists & (rank > lowest), exists & (rank == lowest)
        betters = better_before + tl.cumsum(better.to(tl.int32), 0)
        equals = equal_before + tl.cumsum(equal.to(tl.int32), 0)
        place = betters + tl.minimum(equals, room) - 1
        tl.store(chosen + place, token, better | (equal & (equals <= room)))
        better_before += tl.sum(better.to(tl.int32), 0)
        equal_before += tl.sum(equal.to(tl.int32), 0)


@triton.jit
def _ranks(scores, token, older):
    """Numbers without sign that are ordered as the tokens' scores."""
    score = tl.load(scores + token, token < older, other=0.0)
    bits = tl.where(score == 0.0, 0.0, score).to(tl.uint32, bitcast=True)  # -0 equals 0
    return bits ^ tl.where(bits >= SIGN, ALL, SIGN)


def keep_best(scores: torch.Tensor, count: int, window: int) -> torch.Tensor:
    """int32 [due, kv_heads, count + window], ascending.

    scores  [due, kv_heads, older] in 32 bit, no NaN; the last dimension is contiguous
    count   older tokens to keep, at least 1 and at most `older`
    window  newest tokens, which follow the older ones, and all stay
    """
    due, kv_heads, older = scores.shape
    chosen = scores.new_empty(due, kv_heads, count + window, dtype=torch.int32)
    launching.launch(
        _keep_best, (kv_heads, due),
        scores, chosen, older, count, window, scores.stride(0), scores.stride(1),
        BLOCK=BLOCK, WINDOW=triton.next_power_of_2(max(1, window)), num_warps=16,
    )  # fmt: skip
    return chosen

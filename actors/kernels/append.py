"""The new token of each row: its query and key are normed and rotated, its key and value stored.

    normed(x)   = x / sqrt(mean(x^2) + eps) * weight          (queries and keys, if the model norms them)
    rotated(x)  = x * cos + (-second half of x, first half of x) * sin
    query, key  = rotated(normed(x)), value = x               (each rounded once)

A program takes one KV head of one row and the query heads that share it. A row beyond the batch
(its slot is -1) writes nothing but its rotated query, which nobody reads.

Traffic in bytes per row and layer, for numbers of 2 bytes, cos and sin of c bytes each:
    read     (heads + 2 * kv_heads) * head_dim * 2  +  kv_heads * head_dim * 2 * c  +  kv_heads * 4
             and kv_heads * head_dim * 4 for the weights of the norms, kv_heads * 4 if queries are observed
    written  (heads + 2 * kv_heads) * head_dim * 2
             and heads * head_dim * 2 if queries are observed, kv_heads * 4 if attention is summed
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.rounding import rounded


def append(
    qkv: torch.Tensor,
    q_norm: torch.Tensor | None,
    k_norm: torch.Tensor | None,
    eps: float,
    cos: torch.Tensor,
    sin: torch.Tensor,
    slots: torch.Tensor,
    query_slots: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    queries: torch.Tensor,
    attention: torch.Tensor | None = None,
) -> torch.Tensor:
    """Store the new token of each row, and return its rotated queries [n, heads, head_dim].

    qkv             [n, (heads + 2 * kv_heads) * head_dim]: queries, keys and values of all heads
    q_norm, k_norm  the norms' weights [head_dim]; None if the model does not norm them
    cos, sin        [n, head_dim]
    slots           [n], int32: the native slot of each row's token, -1 for a row beyond the batch
    query_slots     [n], int32: in the ring of observed queries
    keys, values    [rows, kv_heads, capacity, head_dim] with at least n rows
    queries         [rows, kv_heads, group, observed, head_dim]; nothing is stored if observed is 0
    attention       [rows, kv_heads, capacity]: begins at 0 for a new token; None if it is not summed
    """
    n = len(qkv)
    _, kv_heads, group, observed, head_dim = queries.shape
    q = qkv.new_empty(n, kv_heads * group, head_dim)
    launching.launch(
        _append,
        (n, kv_heads),
        *(qkv, q_norm, k_norm, eps, cos, sin, slots, query_slots if observed else None),
        *(keys, values, queries, attention, q, keys.shape[2], observed),
        KV_HEADS=kv_heads,
        GROUP=group,
        HEADS=triton.next_power_of_2(group),
        HEAD_DIM=head_dim,
        WIDTH=triton.next_power_of_2(head_dim // 2),
        num_warps=1,
    )
    return q


@triton.jit
def _append(
    qkv_ptr, q_norm_ptr, k_norm_ptr, eps, cos_ptr, sin_ptr, slots_ptr, query_slots_ptr, keys_ptr,
    values_ptr, queries_ptr, attention_ptr, q_ptr, capacity, observed, KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr, HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, kv_head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    head = row * KV_HEADS + kv_head
    heads = tl.arange(0, HEADS)[:, None]
    one = tl.arange(0, 1)[:, None]  # the one key or value
    channels = tl.arange(0, WIDTH)[None, :]  # of a half
    inside = channels < HEAD_DIM // 2
    present = (heads < GROUP) & inside
    cos = _halves(cos_ptr, row * HEAD_DIM + channels, inside, HEAD_DIM)
    sin = _halves(sin_ptr, row * HEAD_DIM + channels, inside, HEAD_DIM)

    qkv_ptr += row * (KV_HEADS * (GROUP + 2) * HEAD_DIM)
    places = (kv_head * GROUP + heads) * HEAD_DIM + channels
    q = _halves(qkv_ptr, places, present, HEAD_DIM)
    q = _rotated(_normed(q, q_norm_ptr, eps, channels, inside, HEAD_DIM), cos, sin)
    _store(q_ptr + row * (KV_HEADS * GROUP * HEAD_DIM), places, q, present, HEAD_DIM)
    slot = tl.load(slots_ptr + row)
    if slot < 0:
        return
    if query_slots_ptr is not None:
        ring = head * GROUP * observed + heads * observed + tl.load(query_slots_ptr + row)
        _store(queries_ptr, ring * HEAD_DIM + channels, q, present, HEAD_DIM)
    entry = head * capacity + slot
    here = one + channels
    key = _halves(qkv_ptr + (KV_HEADS * GROUP + kv_head) * HEAD_DIM, here, inside, HEAD_DIM)
    key = _rotated(_normed(key, k_norm_ptr, eps, channels, inside, HEAD_DIM), cos, sin)
    _store(keys_ptr + entry * HEAD_DIM, here, key, inside, HEAD_DIM)
    value = _halves(qkv_ptr + (KV_HEADS * (GROUP + 1) + kv_head) * HEAD_DIM, here, inside, HEAD_DIM)
    _store(values_ptr + entry * HEAD_DIM, here, value, inside, HEAD_DIM)
    if attention_ptr is not None:
        tl.store(attention_ptr + entry, 0.0)


@triton.jit
def _halves(ptr, places, inside, HEAD_DIM: tl.constexpr):
    """The first and the second half of some heads, in 32 bit."""
    first = tl.load(ptr + places, inside, 0.0).to(tl.float32)
    second = tl.load(ptr + HEAD_DIM // 2 + places, inside, 0.0).to(tl.float32)
    return first, second


@triton.jit
def _normed(halves, weight_ptr, eps, channels, inside, HEAD_DIM: tl.constexpr):
    if weight_ptr is None:
        return halves
    else:
        first, second = halves
        squares = tl.sum(first * first + second * second, 1)[:, None]
        factor = tl.rsqrt(squares / HEAD_DIM + eps)
        weight = _halves(weight_ptr, channels, inside, HEAD_DIM)
        return first * factor * weight[0], second * factor * weight[1]


@triton.jit
def _rotated(halves, cos, sin):
    first, second = halves
    return first * cos[0] - second * sin[0], second * cos[1] + first * sin[1]


@triton.jit
def _store(ptr, places, halves, inside, HEAD_DIM: tl.constexpr):
    dtype: tl.constexpr = ptr.dtype.element_ty
    tl.store(ptr + places, rounded(halves[0], dtype), inside)
    tl.store(ptr + HEAD_DIM // 2 + places, rounded(halves[1], dtype), inside)

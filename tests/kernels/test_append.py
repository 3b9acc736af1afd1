"""`append`: the new token of each row is normed, rotated and stored."""

from dataclasses import dataclass

import pytest
import torch
from support.attention_cases import assert_close, normal
from support.interpreted import counted
from transformers.models.qwen3.modeling_qwen3 import apply_rotary_pos_emb

from actors.kernels.append import append

EPS = 1e-6
CAPACITY, OBSERVED = 32, 4
SLOTS = [0, 31, 7, -1, 16]
QUERY_SLOTS = [3, 0, 1, 2, 2]
N, ROWS, KV_HEADS = len(SLOTS), 6, 2


@dataclass
class Case:
    qkv: torch.Tensor
    norms: tuple[torch.Tensor | None, torch.Tensor | None]
    cos: torch.Tensor
    sin: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    queries: torch.Tensor
    attention: torch.Tensor

    def run(self) -> torch.Tensor:
        slots, query_slots = (torch.tensor(each).int() for each in (SLOTS, QUERY_SLOTS))
        return append(
            *(self.qkv, *self.norms, EPS, self.cos, self.sin, slots, query_slots),
            *(self.keys, self.values, self.queries, self.attention),
        )

    def expected(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values of each row, [n, heads, head_dim] in 64 bit, by transformers' formulas."""
        head_dim = self.keys.shape[-1]
        heads = self.qkv.double().view(N, -1, head_dim)
        q, k, v = heads.split([heads.shape[1] - 2 * KV_HEADS, KV_HEADS, KV_HEADS], 1)
        q, k = (
            each
            if weight is None
            else each * (each.square().mean(-1, keepdim=True) + EPS).rsqrt() * weight.double()
            for each, weight in zip((q, k), self.norms, strict=True)
        )
        return *apply_rotary_pos_emb(q, k, self.cos.double(), self.sin.double()), v


def case(head_dim: int, group: int, observed: int, normed: bool, dtype: torch.dtype) -> Case:
    angles = normal(1, N, head_dim // 2).repeat(1, 2) * 3
    q_norm, k_norm = (1 + normal(seed, head_dim, dtype=dtype) / 4 for seed in (2, 3))
    return Case(
        normal(4, N, (group + 2) * KV_HEADS * head_dim, dtype=dtype) * 2,
        (q_norm, k_norm) if normed else (None, None),
        angles.cos().to(dtype),
        angles.sin().to(dtype),
        torch.full((ROWS, KV_HEADS, CAPACITY, head_dim), 5.0, dtype=dtype),
        torch.full((ROWS, KV_HEADS, CAPACITY, head_dim), 6.0, dtype=dtype),
        torch.full((ROWS, KV_HEADS, group, observed, head_dim), 7.0, dtype=dtype),
        torch.full((ROWS, KV_HEADS, CAPACITY), 8.0),
    )


# 8 shapes x 2 x 2 types x 5 rows x (2 keys, 2 values and 2 to 16 queries): 2,000 heads.
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize(
    ("head_dim", "group"),
    [(8, 1), (16, 2), (32, 3), (64, 7), (80, 4), (96, 8), (128, 4), (128, 2)],
)
def test_queries_and_keys_are_normed_and_rotated_and_the_token_is_stored(
    head_dim: int, group: int, normed: bool, dtype: torch.dtype
):
    it = case(head_dim, group, OBSERVED, normed, dtype)
    q = it.run()
    tolerance = 1e-6 if dtype == torch.float32 else 2**-8
    queries, keys, values = it.expected()
    assert q.dtype == dtype
    assert_close(q, queries, tolerance)
    before = case(head_dim, group, OBSERVED, normed, dtype)
    for row, (slot, query_slot) in enumerate(zip(SLOTS, QUERY_SLOTS, strict=True)):
        if slot >= 0:
            assert_close(it.keys[row, :, slot], keys[row], tolerance)
            assert torch.equal(it.values[row, :, slot].double(), values[row])
            ring = it.queries[row, :, :, query_slot].flatten(0, 1)
            assert torch.equal(ring, q[row]), "queries are observed as they are attended with"
            assert not it.attention[row, :, slot].any()
            before.keys[row, :, slot] = it.keys[row, :, slot]
            before.values[row, :, slot] = it.values[row, :, slot]
            before.queries[row, :, :, query_slot] = it.queries[row, :, :, query_slot]
            before.attention[row, :, slot] = 0
    for name in ("keys", "values", "queries", "attention"):
        assert torch.equal(getattr(it, name), getattr(before, name)), "nothing else is written"


def test_queries_are_not_kept_where_none_are_observed():
    it = case(16, 2, 0, True, torch.bfloat16)
    assert_close(it.run(), it.expected()[0], 2**-8)


def test_a_rows_result_does_not_depend_on_its_neighbours():
    it = case(64, 4, OBSERVED, True, torch.bfloat16)
    q = it.run()
    alone = torch.zeros_like(it.keys[2:3]), torch.zeros_like(it.values[2:3])
    slot, query_slot = torch.tensor([7]).int(), torch.tensor([1]).int()
    own = append(
        *(it.qkv[2:3], *it.norms, EPS, it.cos[2:3], it.sin[2:3], slot, query_slot),
        *(*alone, torch.zeros_like(it.queries[2:3])),
    )
    assert torch.equal(own, q[2:3])
    assert torch.equal(alone[0][0, :, 7], it.keys[2, :, 7])


@pytest.mark.parametrize("observed", [0, OBSERVED])
def test_traffic_is_as_stated(observed: int):
    head_dim, group = 128, 4
    it = case(head_dim, group, observed, True, torch.bfloat16)
    with counted() as traffic:
        it.run()
    heads, moving = group * KV_HEADS, sum(slot >= 0 for slot in SLOTS)
    still = N - moving
    always = heads * head_dim * 2 + KV_HEADS * (head_dim * 2 * 2 + head_dim * 2 + 4)
    stored = KV_HEADS * (2 * head_dim * 2)
    read = moving * (stored + KV_HEADS * head_dim * 2 + (KV_HEADS * 4 if observed else 0))
    assert traffic.loaded == (moving + still) * always + read
    written = stored + KV_HEADS * 4 + (heads * head_dim * 2 if observed else 0)
    assert traffic.stored == N * heads * head_dim * 2 + moving * written

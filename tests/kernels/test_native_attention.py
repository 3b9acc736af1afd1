"""`native_attention` and `join_attention`: attention of one token per row over native slots."""

import pytest
import torch
from support.attention_cases import TOLERANCE, assert_close, attended, beyond, normal
from support.interpreted import counted

from actors.kernels.join_attention import join_attention
from actors.kernels.native_attention import SPLIT, native_attention, native_splits

LENGTHS = torch.tensor([0, 1, 33, 512, 513, 560], dtype=torch.int32)
CAPACITY = 576
KV_HEADS = 2


def run(
    q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, lengths: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The attention and the log-sum-exp of each row."""
    n, heads, head_dim = q.shape
    rows, kv_heads, capacity, _ = keys.shape
    shape = (rows, kv_heads, native_splits(capacity), heads // kv_heads)
    results, lse = torch.full((*shape, head_dim), torch.nan), torch.full(shape, torch.nan)
    native_attention(q, keys, values, lengths, results, lse)
    out, total = torch.empty(n, heads * head_dim, dtype=q.dtype), torch.empty(rows, heads)
    join_attention(results, lse, lengths, SPLIT, out, total)
    return out, total[:n]


# 6 rows x 58 query heads x 2 types: 696 cases, a head of a row each.
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("head_dim", "group"), [(8, 1), (16, 2), (32, 3), (64, 7), (80, 4), (96, 8), (128, 4)]
)
def test_each_row_attends_to_the_tokens_that_it_holds(
    head_dim: int, group: int, dtype: torch.dtype
):
    n = len(LENGTHS)
    q = normal(1, n, KV_HEADS * group, head_dim, dtype=dtype) * 3
    keys, values = (normal(seed, n, KV_HEADS, CAPACITY, head_dim, dtype=dtype) for seed in (2, 3))
    out, lse = run(q, beyond(keys, LENGTHS), beyond(values, LENGTHS), LENGTHS)
    assert not out[0].any() and lse[0].isneginf().all(), "a row that holds nothing gets zeros"
    for row in range(1, n):
        held = slice(0, int(LENGTHS[row]))
        expected = attended(q[row], keys[row, :, held], values[row, :, held])
        assert_close(out[row], expected.result, TOLERANCE[dtype])
        assert_close(lse[row], expected.lse, 1e-5 if dtype == torch.float32 else 1e-3)


def test_a_rows_result_does_not_depend_on_its_neighbours_or_on_the_capacity():
    q = normal(1, 3, 2, 16, dtype=torch.bfloat16)
    keys, values = (normal(seed, 3, 2, 1056, 16, dtype=torch.bfloat16) for seed in (2, 3))
    lengths = torch.tensor([700, 1056, 90], dtype=torch.int32)
    together, _ = run(q, keys, values, lengths)
    alone, _ = run(
        q[2:], keys[2:, :, :96].contiguous(), values[2:, :, :96].contiguous(), lengths[2:]
    )
    assert torch.equal(together[2:], alone)
    first, _ = run(q[:1], keys, values, lengths[:1])
    assert torch.equal(together[:1], first), "fewer rows than the cache has"


def test_logits_are_stored_for_the_tokens_that_are_held():
    q, keys, values = normal(1, 2, 4, 32), normal(2, 2, 2, 544, 32), normal(3, 2, 2, 544, 32)
    lengths = torch.tensor([520, 40], dtype=torch.int32)
    shape = (2, 2, native_splits(544), 2)
    logits = torch.full((2, 2, 2, 600), -1.0)
    results, lse = torch.empty(*shape, 32), torch.empty(shape)
    native_attention(q, keys, values, lengths, results, lse, logits)
    out, total = torch.empty(2, 128), torch.empty(2, 4)
    join_attention(results, lse, lengths, SPLIT, out, total)
    for row, length in enumerate(lengths.tolist()):
        weights = torch.exp2(logits[row].flatten(0, 1)[:, :length] - total[row, :, None])
        expected = attended(q[row], keys[row, :, :length], values[row, :, :length])
        assert_close(weights, expected.weights, 1e-5)
        assert (logits[row, ..., length:] == -1).all()


def test_equal_values_are_returned_as_they_are():
    q, keys = normal(1, 1, 4, 128, dtype=torch.bfloat16), normal(2, 1, 1, 512, 128)
    values = torch.full((1, 1, 512, 128), 1.7).bfloat16()
    out, _ = run(q, keys.bfloat16(), values, torch.tensor([512], dtype=torch.int32))
    assert torch.equal(out, values[0, 0, 0].repeat(4)[None]), "weights add up to 1"


@pytest.mark.parametrize(("group", "head_dim"), [(4, 128), (2, 80)])
def test_traffic_is_as_stated(group: int, head_dim: int):
    tokens = [1000, 0, 30]
    lengths = torch.tensor(tokens, dtype=torch.int32)
    q = normal(1, 3, group, head_dim, dtype=torch.bfloat16)
    keys, values = (normal(seed, 3, 1, 1024, head_dim).bfloat16() for seed in (2, 3))
    shape = (3, 1, 2, group)
    results, lse, out = torch.empty(*shape, head_dim), torch.empty(shape), torch.empty_like(q)
    with counted() as attention:
        native_attention(q, keys, values, lengths, results, lse)
    used = sum(native_splits(each) for each in tokens)
    read = sum(tokens) * head_dim * 2 * 2 + used * group * head_dim * 2 + 3 * 2 * 4
    assert attention.loaded == read
    assert attention.stored == used * group * (head_dim + 1) * 4
    with counted() as join:
        join_attention(results, lse, lengths, SPLIT, out.flatten(1))
    assert join.loaded == group * (used * (head_dim + 1) * 4 + 3 * 4)
    assert join.stored == 3 * group * head_dim * 2

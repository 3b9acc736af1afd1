"""The importance of tokens to the newest queries, compared with the torch engine's."""

import pytest
import torch
from support.interpreted import counted

from actors.kernels.observed_attention import observed_attention
from actors.kv import eviction
from actors.kv.eviction import Row

HEAD_DIMS = (8, 16, 32, 64, 80, 96, 128)


def a_row(shape: tuple[int, ...], group: int, observed: int, stored: torch.dtype) -> Row:
    """Keys of that shape [rows, kv_heads, tokens, head_dim], and queries like some of them."""
    made = torch.Generator().manual_seed(sum(shape))
    rows, kv_heads, _, head_dim = shape
    keys = torch.randn(shape, generator=made).to(stored)
    queries = 2 * torch.randn(rows, kv_heads, group, observed, head_dim, generator=made)
    return Row(keys, queries.to(stored), None)


def expected(row: Row, window: int) -> torch.Tensor:
    return eviction.observed_attention(Row(row.keys.float(), row.queries.float(), None), window)


def close(actual: torch.Tensor, expected: torch.Tensor) -> bool:
    """Within 1e-5 of the largest magnitude."""
    return bool((actual - expected).abs().max() <= 1e-5 * expected.abs().max())


# 7 head sizes x 2 types x 5 shapes x 4 heads: 280 cases
@pytest.mark.parametrize("head_dim", HEAD_DIMS)
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_any_head_gets_the_importance_of_the_torch_engine(head_dim: int, stored: torch.dtype):
    for tokens, window, group in ((3, 2, 1), (40, 8, 2), (130, 1, 3), (300, 20, 8), (700, 8, 4)):
        row = a_row((2, 2, tokens, head_dim), group, window, stored)
        found = observed_attention(row.keys, row.queries, window)
        assert close(found, expected(row, window))


def test_fewer_queries_than_the_window_may_have_observed():
    row = a_row((1, 2, 60, 16), 2, 3, torch.float32)
    assert close(observed_attention(row.keys, row.queries, 8), expected(row, 8))


def test_only_the_rows_that_are_asked_for_are_read_where_they_lie():
    row = a_row((2, 3, 140, 16), 2, 8, torch.bfloat16)
    lane = torch.full((4, 3, 160, 16), torch.nan).bfloat16()
    lane[[2, 0], :, :140] = row.keys
    rows = torch.tensor([2, 0], dtype=torch.int32)
    found = observed_attention(lane[:, :, :140], row.queries.float(), 8, rows)
    assert close(found, expected(row, 8))


def test_logits_of_any_size_have_a_softmax():
    row = a_row((1, 1, 400, 16), 2, 8, torch.float32)
    row = Row(100 * row.keys, row.queries, None)
    assert close(observed_attention(row.keys, row.queries, 8), expected(row, 8))


def test_a_row_whose_tokens_are_all_in_the_window_has_no_scores():
    row = a_row((1, 2, 8, 16), 2, 8, torch.float32)
    assert observed_attention(row.keys, row.queries, 8).shape == (1, 2, 0)


def test_a_key_is_read_once_for_all_queries():
    row = a_row((1, 1, 608, 64), 4, 8, torch.bfloat16)
    with counted() as traffic:
        observed_attention(row.keys, row.queries, 8)
    older, parts, key = 600, 5, 128
    read = older * key + parts * 4 * 8 * key + parts * 4  # each program reads its row's index
    written = 4 * 8 * older + 8 * 8 * parts
    assert traffic.loaded == read + 4 * 8 * older + 2 * 8 * 8 * parts
    assert traffic.stored == written + 4 * older

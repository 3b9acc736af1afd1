"""Attention in tiles: torch's own numbers, and the same bits whatever a row is padded to."""

import pytest
import torch
from torch.nn import functional

from actors.kv_cache.tiles import TILE, attention_weights, weighted_values

HEADS = [(3, 3, 64), (8, 4, 128), (2, 8, 128), (1, 1, 32), (4, 5, 80)]  # KV heads, group, head_dim


def tensors(rows: int, tokens: int, heads: tuple[int, int, int]) -> tuple[torch.Tensor, ...]:
    kv_heads, group, size = heads
    generator = torch.Generator().manual_seed(tokens)
    shapes = ((group, size), (tokens, size), (tokens, size))
    return tuple(torch.randn(rows, kv_heads, *shape, generator=generator) for shape in shapes)


def masked_beyond(held: int, rows: int, tokens: int) -> torch.Tensor:
    mask = torch.zeros(rows, 1, 1, tokens)
    mask[..., held:] = float("-inf")
    return mask


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return weighted_values(attention_weights(q, k, mask), v)


@pytest.mark.parametrize("heads", HEADS, ids=str)
def test_the_result_is_that_of_torch(heads):
    q, k, v = tensors(2, 4 * TILE, heads)
    mask = masked_beyond(100, 2, 4 * TILE)
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert torch.allclose(attend(q, k, v, mask), expected, atol=1e-5)


@pytest.mark.parametrize("heads", HEADS, ids=str)
@pytest.mark.parametrize("held", [1, TILE, 200, 513])
def test_a_row_has_the_same_bits_alone_and_beside_longer_rows(heads, held):
    q, k, v = tensors(3, 48 * TILE, heads)
    shortest = -(-held // TILE)
    found = []
    for tiles in (shortest, shortest + 1, shortest + 2, 2 * shortest, 48):
        for rows in (1, 3):
            keys, values = k[:rows, :, : tiles * TILE], v[:rows, :, : tiles * TILE]
            found.append(attend(q[:rows], keys, values, masked_beyond(held, rows, tiles * TILE))[0])
    assert all(torch.equal(found[0], other) for other in found)

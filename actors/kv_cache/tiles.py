"""Attention in tiles of TILE tokens, in which no sum depends on how many tokens follow.

A product of matrices is computed by a kernel that the library chooses by their sizes, and kernels add in
different orders. So one product over all tokens would round a row's result by the length of its longest
neighbour, to which it is padded. MKL does so for 4 query heads per KV head of 128 numbers, as Qwen3 has them.
Here all products have the size and the layout of a tile (so what is not contiguous is copied), and what lies
beyond a row's extent adds zeros at the end.
"""

import torch
from torch.nn import functional

from raysweep.memory import SLOT_BLOCK

TILE = SLOT_BLOCK
SUMMED = 4  # torch adds up this many interleaved sums, and what is left over in another order


def attention_weights(
    queries: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """softmax(queries keys^T / sqrt(head_dim) + mask): [rows, kv_heads, group, tokens]

    queries [rows, kv_heads, group, head_dim], keys [rows, kv_heads, tokens, head_dim], mask [rows, 1, 1,
    tokens]; the number of tokens is a multiple of TILE
    """
    tiles = keys.contiguous().unflatten(2, (-1, TILE))  # [rows, kv_heads, tiles, TILE, head_dim]
    scaled = queries * queries.shape[-1] ** -0.5
    logits = scaled.unsqueeze(2) @ tiles.transpose(-1, -2)  # [rows, kv_heads, tiles, group, TILE]
    return (logits.transpose(2, 3).flatten(3) + mask).softmax(-1)


def weighted_values(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The sum of values [rows, kv_heads, tokens, head_dim] by these weights, in the shape of the queries."""
    tiles = weights.unflatten(3, (-1, TILE)).transpose(2, 3)
    products = tiles @ values.contiguous().unflatten(2, (-1, TILE))
    return functional.pad(products, (0, 0, 0, 0, 0, -products.shape[2] % SUMMED)).sum(2)

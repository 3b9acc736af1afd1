"""R-KV's redundancy of each token, without a matrix of all pairs in memory.

Twin: `actors.kv.r_kv.redundancy`.

    redundancy = softmax over the tokens j of (mean over the tokens i of cos_ij)

cos is 0 for i = j, and for j = newest_i, the newest token that resembles i (token 0 if there is none).
Of its kernels, `key_sums` reads the keys once, `newest_alike` multiplies all pairs and keeps the places of
the newest, and `cosine_sums` reads each key again, and that of its newest one. What is left are operations of
torch on [due, kv_heads, tokens].

`bytes_moved` and `flops` say what that costs. For Qwen3-8B at 8,320 tokens it is 47 MB and 9.4
GFLOP per layer and KV head, where 128 steps of decoding read 545 MB.
"""

import torch

from actors.kernels.cosine_sums import TOKENS as ADDED
from actors.kernels.cosine_sums import cosine_sums
from actors.kernels.key_sums import TOKENS as SUMMED
from actors.kernels.key_sums import key_sums
from actors.kernels.newest_alike import newest_alike, passing, tile_sizes


def redundancy(keys: torch.Tensor, rows: torch.Tensor | None = None) -> torch.Tensor:
    """[due, kv_heads, tokens] in 32 bit.

    keys  [rows, kv_heads, tokens, head_dim] of 16 or 32 bit; the last two dimensions are contiguous
    rows  int32 [due], the rows to work on; None for all
    """
    if rows is None:
        rows = torch.arange(len(keys), dtype=torch.int32, device=keys.device)
    norms, directions = key_sums(keys, rows)
    newest = newest_alike(keys, rows, norms)
    sums = cosine_sums(keys, rows, norms, directions, newest)
    return (sums / keys.shape[2]).softmax(-1)


def bytes_moved(tokens: int, head_dim: int, stored: torch.dtype) -> int:
    """The most that the three kernels read and write per KV head of a row, as if nothing were cached."""
    key, held = head_dim * stored.itemsize, tile_sizes(stored)[0]
    summed = tokens * (key + 4) + -(-tokens // SUMMED) * 4 * head_dim
    multiplied = (tokens + passing(tokens, held)) * (key + 4 + 8)
    added = tokens * (2 * key + 12 + 4 + 16) + -(-tokens // ADDED) * 4 * head_dim
    return summed + multiplied + added


def flops(tokens: int, head_dim: int, stored: torch.dtype) -> int:
    """Operations of the tensor cores per KV head of a row: two for each product of a number by another."""
    held = tile_sizes(stored)[0]
    tiles = -(-tokens // held)
    return tiles * (tiles + 1) // 2 * held**2 * 2 * max(16, 1 << (head_dim - 1).bit_length())

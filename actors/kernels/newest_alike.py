"""For each key, the place of the newest other key that resembles it.

    newest_i = the largest j other than i with k_i k_j > SIMILAR norm_i norm_j, or 0 if there is none

Keys are multiplied as they are stored, with sums in 32 bit, so no direction is ever rounded to 16 bit. A pair
is multiplied once, for both of its keys. A program holds a tile of T keys and goes over its own tile and the
next half of the others, in a circle, so all programs have equal work and each two tiles meet once. What it
finds out about other tiles' keys goes through atomic maxima of integers, in which order does not matter.

With n = ceil(S / T) tiles, per KV head of S keys of D numbers (a power of two, at least 16) of b bytes:

    n (n + 1) / 2 T^2 2 D         FLOPs
    (S + M) (D b + 4)             bytes of keys and norms read; M = S (n + 1) / 2, for even n
                                  S n / 2 + the tokens of the tiles that go one step further
    at most 8 (S + M)             bytes of places, read and written
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.lanes import offset_of
from actors.kernels.products import product
from actors.kv.r_kv import SIMILAR


@triton.jit
def _newest_alike(
    keys, rows, norms, newest, tokens, row_stride, head_stride,
    HEAD_DIM: tl.constexpr, HELD: tl.constexpr, PASSED: tl.constexpr, SIMILAR: tl.constexpr,
):  # fmt: skip
    tile, head, due = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    tiles = tl.num_programs(0)
    made = (due * tl.num_programs(1) + head) * tokens
    keys += offset_of(rows, due, head, row_stride, head_stride)
    channels = tl.arange(0, max(16, triton.next_power_of_2(HEAD_DIM)))
    has = channels < HEAD_DIM

    held = tile * HELD + tl.arange(0, HELD)
    exists = held < tokens
    places = held[:, None] * HEAD_DIM + channels[None, :]
    held_keys = tl.load(keys + places, exists[:, None] & has[None, :], other=0.0)
    # Tokens that do not exist have infinite norms, so nothing resembles them.
    least = SIMILAR * tl.load(norms + made + held, exists, other=float("inf"))
    latest = tl.zeros([HELD], tl.int32)

    STEPS: tl.constexpr = HELD // PASSED
    # With an even number of tiles, opposite ones would meet twice.
    meets = tiles // 2 + ((tiles % 2 == 1) | (tile < tiles // 2)).to(tl.int32)
    for step in range(meets * STEPS):
        passing = (tile + step // STEPS) % tiles
        other = passing * HELD + step % STEPS * PASSED + tl.arange(0, PASSED)
        present = other < tokens
        others = other[None, :] * HEAD_DIM + channels[:, None]
        k = tl.load(keys + others, has[:, None] & present[None, :], other=0.0)
        norm = tl.load(norms + made + other, present, other=float("inf"))
        alike = product(held_keys, k) > least[:, None] * norm[None, :]
        alike = alike & (held[:, None] != other[None, :])
        latest = tl.maximum(latest, tl.max(tl.where(alike, other[None, :], 0), 1))
        seen = tl.max(tl.where(alike, held[:, None], 0), 0)
        tl.atomic_max(newest + made + other, seen, present & (seen > 0), sem="relaxed")
    tl.atomic_max(newest + made + held, latest, exists & (latest > 0), sem="relaxed")


def newest_alike(keys: torch.Tensor, rows: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """int32 [due, kv_heads, tokens]: the place of the newest key that resembles a token's.

    keys   [rows, kv_heads, tokens, head_dim] of 16 or 32 bit; the last two dimensions are contiguous
    rows   int32 [due], the rows to work on
    norms  [due, kv_heads, tokens], as `key_sums` makes them
    """
    due, (_, kv_heads, tokens, head_dim) = len(rows), keys.shape
    newest = torch.zeros(due, kv_heads, tokens, dtype=torch.int32, device=keys.device)
    held, passed = tile_sizes(keys.dtype)
    launching.launch(
        _newest_alike, (triton.cdiv(tokens, held), kv_heads, due),
        keys, rows, norms, newest, tokens, keys.stride(0), keys.stride(1),
        HEAD_DIM=head_dim, HELD=held, PASSED=passed, SIMILAR=SIMILAR, num_warps=8, num_stages=2,
    )  # fmt: skip
    return newest


def tile_sizes(stored: torch.dtype) -> tuple[int, int]:
    """Keys that a program holds, and keys that pass by at a time; both fit into any GPU's shared memory."""
    return (256, 64) if stored.itemsize == 2 else (64, 32)


def passing(tokens: int, tile: int) -> int:
    """Tokens that pass by all programs of a head together: M of the formulas above."""
    tiles = triton.cdiv(tokens, tile)
    sizes = [min(tile, tokens - start) for start in range(0, tokens, tile)]
    meets = [tiles // 2 + (tiles % 2 == 1 or own < tiles // 2) for own in range(tiles)]
    return sum(sizes[(own + step) % tiles] for own in range(tiles) for step in range(meets[own]))

"""For each key, the place of the newest other key that resembles it.

    newest_i = the largest j other than i with k_i k_j > SIMILAR norm_i norm_j, or 0 if there is none

Keys are multiplied as they are stored, with sums in 32 bit, so no direction is ever rounded to 16 bit. A pair
is multiplied once, for both of its keys. A program holds a tile of T keys, by which the keys of the same tile
pass, and then those of the next half of the tiles, in a circle. So all programs have equal work, and each two
tiles meet once. What a program finds out about passing keys goes through atomic maxima of integers, in which
order does not matter.

With n = ceil(S / T) tiles, per KV head of S keys of D numbers (a power of two, at least 16) of b bytes:

    n (n + 1) / 2 T^2 2 D         FLOPs
    (S + M) (D b + 4)             bytes of keys and norms are read; M = S (n + 1) / 2 tokens pass by, or,
                                  if n is even and the last tile is not full, slightly more (see `passing`)
    at most 8 (S + M)             bytes of places are read and written
"""

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.lanes import offset_of
from actors.kernels.products import product
from actors.kv.r_kv import SIMILAR


@triton.jit(do_not_specialize=["tokens"])  # else registers overflow for some numbers of tokens
def _newest_alike(
    keys, rows, norms, newest, tokens, row_stride, head_stride,
    HEAD_DIM: tl.constexpr, HELD: tl.constexpr, PASSED: tl.constexpr, SIMILAR: tl.constexpr,
):  # fmt: skip
    tile, head, due = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    tiles = tl.num_programs(0)
    made = (due * tl.num_programs(1) + head) * tokens
    keys += offset_of(rows, due, head, row_stride, head_stride)
    norms, newest = norms + made, newest + made
    channels = tl.arange(0, max(16, triton.next_power_of_2(HEAD_DIM)))

    held = tile * HELD + tl.arange(0, HELD)
    mask = (held < tokens)[:, None] & (channels < HEAD_DIM)[None, :]
    own = tl.load(keys + held[:, None] * HEAD_DIM + channels[None, :], mask, other=0.0)
    # Tokens that do not exist have infinite norms, so nothing resembles them.
    least = SIMILAR * tl.load(norms + held, held < tokens, other=float("inf"))

    # How many tiles follow; with an even number of tiles, opposite ones would else meet twice.
    newer = (tiles - 1) // 2 + ((tiles % 2 == 0) & (tile < tiles // 2)).to(tl.int32)
    end = tl.minimum(tile + 1 + newer, tiles)
    STEPS: tl.constexpr = HELD // PASSED
    latest = tl.zeros([HELD], tl.int32)
    for step in range(0, (tile + 1 + newer - end) * STEPS):
        latest = _meet(
            step, own, held, least, latest, keys, norms, newest, tokens, False, HEAD_DIM, PASSED
        )
    for step in range(tile * STEPS, (tile + 1) * STEPS):
        latest = _meet(
            step, own, held, least, latest, keys, norms, newest, tokens, True, HEAD_DIM, PASSED
        )
    for step in range((tile + 1) * STEPS, end * STEPS):
        latest = _meet(
            step, own, held, least, latest, keys, norms, newest, tokens, False, HEAD_DIM, PASSED
        )
    tl.atomic_max(newest + held, latest, (held < tokens) & (latest > 0), sem="relaxed")


@triton.jit
def _meet(
    step, own, held, least, latest, keys, norms, newest, tokens,
    AMONG_THEMSELVES: tl.constexpr, HEAD_DIM: tl.constexpr, PASSED: tl.constexpr,
):  # fmt: skip
    """The newest key that each held one resembles so far, after PASSED more have passed by."""
    channels = tl.arange(0, own.shape[1])
    other = step * PASSED + tl.arange(0, PASSED)
    mask = (channels < HEAD_DIM)[:, None] & (other < tokens)[None, :]
    k = tl.load(keys + other[None, :] * HEAD_DIM + channels[:, None], mask, other=0.0)
    norm = tl.load(norms + other, other < tokens, other=float("inf"))
    alike = product(own, k) > least[:, None] * norm[None, :]
    if AMONG_THEMSELVES:
        alike = alike & (held[:, None] != other[None, :])
    seen = tl.max(tl.where(alike, held[:, None], 0), 0)
    tl.atomic_max(newest + other, seen, (other < tokens) & (seen > 0), sem="relaxed")
    return tl.maximum(latest, tl.max(tl.where(alike, other[None, :], 0), 1))


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
        _newest_alike, (-(-tokens // held), kv_heads, due),
        keys, rows, norms, newest, tokens, keys.stride(0), keys.stride(1),
        HEAD_DIM=head_dim, HELD=held, PASSED=passed, SIMILAR=SIMILAR, num_warps=8, num_stages=3,
    )  # fmt: skip
    return newest


def tile_sizes(stored: torch.dtype) -> tuple[int, int]:
    """Keys that a program holds, and keys that pass by at a time; both fit into any GPU's shared memory."""
    return (256, 32) if stored.itemsize == 2 else (64, 16)


def passing(tokens: int, tile: int) -> int:
    """Tokens that pass by all programs of a head together: M of the formulas above."""
    tiles = -(-tokens // tile)
    sizes = [min(tile, tokens - start) for start in range(0, tokens, tile)]
    meets = [tiles // 2 + (tiles % 2 == 1 or own < tiles // 2) for own in range(tiles)]
    return sum(sizes[(own + step) % tiles] for own in range(tiles) for step in range(meets[own]))

"""The product with GPTQ's packed weights, which are unpacked in registers.

    y[m, n] = sum over k of x[m, k] * w[k, n] + bias[n]
    w[k, n] = round(round((code[k, n] - zero[g_idx[k], n]) * scale[g_idx[k], n]))

A weight is rounded to fp16 and then to x's type, as `PackedLinear` does it; sums are in 32 bit.

Codes of b bits lie along the inputs as one stream of bits: four of 8 bits or eight of 4 bits fill a word, and
32 of 3 bits fill three. A program reads a tile of words, spreads it to a tile of weights, and multiplies it.
Where the tiles of outputs are too few to keep a GPU busy, K may be split, and `add_norm` adds up what its
parts gave. Prompts are multiplied by the same kernel: for a chunk of 512 tokens, unpacking a tile four times
costs less than a pass that writes out all weights.

Bytes for each BLOCK_M rows of x: the words once, K N b / 8; scales, 2 N K / RUN, and as many zero points of
one byte, where RUN consecutive inputs of a tile share a group; in the order of activations 4 K N / BLOCK_N
for g_idx; x once for each tile of outputs, x's bytes * N / BLOCK_N; and 4 N of the bias. Stored is y, or
4 M N for each part of K.
"""

from dataclasses import dataclass
from math import gcd

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.products import product
from actors.kernels.rounding import rounded

PROGRAMS = 192  # a few more than the 132 multiprocessors of an H100
MOST_PARTS = 8


@triton.jit
def _as_half(number):
    """A whole number below 1024, plus 1024, in fp16: the number is the low bits of its mantissa."""
    return (number.to(tl.int16) | 0x6400).to(tl.float16, bitcast=True)


@triton.jit
def _word(words, mask):
    return tl.load(words, mask, 0).to(tl.uint32, bitcast=True).to(tl.uint64)


@triton.jit
def _codes(words, row, mask, BITS: tl.constexpr, PER: tl.constexpr):
    """The codes of a tile, [periods, PER, n].

    words, mask: [periods, 1, n], where each period's first word is; row: from a word to the next
    """
    index = tl.arange(0, PER)[None, :, None]
    if BITS == 3:  # a code lies within the first two of a period's words, or within the last two
        first, second, third = (
            _word(words, mask),
            _word(words + row, mask),
            _word(words + 2 * row, mask),
        )
        early, late = first | (second << 32), second | (third << 32)
        shift = tl.where(index < 21, 3 * index, 3 * index - 32).to(tl.uint64)
        spread = tl.where(index < 21, early, late) >> shift
    else:
        spread = tl.load(words, mask, 0) >> (BITS * index)
    return (spread & (2**BITS - 1)).to(tl.int32)


@triton.jit
def _repeated(rows, RUN: tl.constexpr):
    """[r, 1, n] -> [r * RUN, n]: each row RUN times."""
    several = tl.broadcast_to(rows, rows.shape[0], RUN, rows.shape[2])
    return tl.reshape(several, rows.shape[0] * RUN, rows.shape[2])


@triton.jit(do_not_specialize=["M", "steps"])
def _kernel(
    x,
    words,
    scales,
    zeros,
    g_idx,
    bias,
    y,
    M,
    N,
    K,
    x_row,
    steps,
    BITS: tl.constexpr,
    GROUP: tl.constexpr,
    RUN: tl.constexpr,
    PER: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    part = tl.program_id(2)
    inputs = tl.arange(0, BLOCK_K)
    periods = tl.arange(0, BLOCK_K // PER)
    runs = tl.arange(0, BLOCK_K // RUN) * RUN
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(
        part * steps * BLOCK_K, tl.minimum((part + 1) * steps * BLOCK_K, K), BLOCK_K
    ):
        rows = tl.load(
            x + m[:, None] * x_row + (start + inputs)[None, :],
            (m < M)[:, None] & (start + inputs < K)[None, :],
            0,
        )
        period = start // PER + periods
        first = words + (period * (PER * BITS // 32))[:, None, None] * N + n[None, None, :]
        mask = (period < K // PER)[:, None, None] & (n < N)[None, None, :]
        codes = tl.reshape(_codes(first, N, mask, BITS, PER), BLOCK_K, BLOCK_N)
        run = start + runs
        group = run // GROUP if GROUP else tl.load(g_idx + run, run < K, 0)
        at = group[:, None, None] * N + n[None, None, :]
        mask = (run < K)[:, None, None] & (n < N)[None, None, :]
        scale = _repeated(tl.load(scales + at, mask, 0), RUN)
        if zeros is None:
            weights = (_as_half(codes) - (1024.0 + 2 ** (BITS - 1))) * scale
        else:
            zero = _repeated(_as_half(tl.load(zeros + at, mask, 0)), RUN)
            weights = (_as_half(codes) - zero) * scale
        total += product(rows, rounded(weights, x.dtype.element_ty))
    if bias is not None:
        total += tl.load(bias + n, n < N, 0).to(tl.float32)[None, :]
    at = (part * M + m)[:, None] * N + n[None, :]
    tl.store(y + at, rounded(total, y.dtype.element_ty), (m < M)[:, None] & (n < N)[None, :])


@dataclass(frozen=True)
class PackedWeight:
    """GPTQ's tensors of a layer with K inputs and N outputs.

    words  [K * bits / 32, N], int32
    scales [groups, N], fp16
    zeros  the unpacked zero points [groups, N], uint8; None: all are 2**(bits - 1)
    g_idx  [K], int32: each input's group; None: groups of equal size follow one another
    """

    bits: int
    words: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    g_idx: torch.Tensor | None

    @property
    def inputs(self) -> int:
        return self.words.shape[0] * 32 // self.bits

    @property
    def outputs(self) -> int:
        return self.words.shape[1]


@dataclass(frozen=True)
class _Tile:
    m: int
    n: int
    k: int
    warps: int
    stages: int


def _tile(rows: int, dtype: torch.dtype, in_turn: bool) -> _Tile:
    """What one program multiplies at a time.

    Where each weight has a scale of its own, the tile is half as large to hold all in registers.
    """
    if dtype == torch.float32:
        return _Tile(16, 32, 32, 4, 2)
    m = min(128, max(16, 1 << (rows - 1).bit_length()))
    if m <= 32:
        return _Tile(m, 64, 128 if in_turn else 64, 4, 4)
    return _Tile(m, 128 if in_turn or m == 64 else 64, 64, 8, 3)


def packed_product(
    x: torch.Tensor, weight: PackedWeight, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """x [M, K] with features side by side, bias [N] -> [M, N] of x's type."""
    return _multiplied(x, weight, bias, most_parts=1)[0]


def product_in_parts(x: torch.Tensor, weight: PackedWeight) -> torch.Tensor:
    """[parts, M, N], which add up to the product: in 32 bit, but in x's type if there is one part."""
    return _multiplied(x, weight, None, MOST_PARTS)


def _multiplied(
    x: torch.Tensor, weight: PackedWeight, bias: torch.Tensor | None, most_parts: int
) -> torch.Tensor:
    (rows, inputs), outputs = x.shape, weight.outputs
    in_turn = weight.g_idx is None
    tile = _tile(rows, x.dtype, in_turn)
    group = -(-inputs // len(weight.scales)) if in_turn else 0
    tiles = (-(-rows // tile.m), -(-outputs // tile.n))
    steps = -(-inputs // tile.k)
    parts = min(most_parts, steps, max(1, PROGRAMS // (tiles[0] * tiles[1])))
    steps = -(-steps // parts)
    parts = -(-inputs // (steps * tile.k))
    dtype = x.dtype if parts == 1 else torch.float32
    y = torch.empty((parts, rows, outputs), dtype=dtype, device=x.device)
    launching.launch(
        _kernel,
        (*tiles, parts),
        x,
        weight.words,
        weight.scales,
        weight.zeros,
        weight.g_idx,
        bias,
        y,
        rows,
        outputs,
        inputs,
        x.stride(0),
        steps,
        BITS=weight.bits,
        GROUP=group,
        RUN=gcd(group, tile.k) if group else 1,
        PER=32 // gcd(weight.bits, 32),
        BLOCK_M=tile.m,
        BLOCK_N=tile.n,
        BLOCK_K=tile.k,
        num_warps=tile.warps,
        num_stages=tile.stages,
    )
    return y

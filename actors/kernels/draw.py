"""A token for each row of logits, drawn without sorting the vocabulary.

    mass[i] = exp((logit[i] - largest) / temperature)

What top-k, top-p and min-p keep are the first tokens in the order of the logits, of equal logits the first
ones in the vocabulary. Where they end is searched for: the largest key at or above which tokens have a given
number or a given mass. So is the token that a draw means. A key is a logit's bits as an ordered whole number,
of which one pass finds four bits.

The passes are over candidates: all tokens down to a bound that surely lies below what is kept, which a
histogram of the logits gives. They are copied into scratch. Where they are too many, the passes are over the
whole row, with the same result.

Bytes per row of V logits of b bytes: read are 4 V b for the largest logit, the mass of all, the histogram and
the copy, and then CANDIDATES b for each of up to 6 b + 5 passes; stored are CANDIDATES b, and b + 4 for each
candidate. A row that keeps all tokens takes 3 V b. An estimate for 128 rows of 152k bf16 logits on an H100
with top-k 20 and top-p 0.95: 0.1 ms, of which most is latency, as each row is read by one multiprocessor.
"""

# Triton declares its range without an iterator.
# pyright: reportGeneralTypeIssues=false

import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.searching import (
    TILE,
    mass_at,
    mass_of,
    place_of,
    reached,
    search,
    tile_of,
)

CANDIDATES = tl.constexpr(1024)
BINS = tl.constexpr(256)
BINS_PER_NAT = tl.constexpr(4)
SLACK = tl.constexpr(0.999)  # on the mass that may be left out, as sums in 32 bit are rounded


@triton.jit
def _bin(logits, tokens):
    """How far logits are below the largest, in steps; the last bin takes all that is farther."""
    _, _, largest, temperature = tokens
    distance = (largest - logits.to(tl.float32)) / temperature * BINS_PER_NAT
    return tl.minimum(distance, BINS - 1.0).to(tl.int32)


@triton.jit
def _draw_in_vocabulary(tokens, target):
    """The last token with any mass before which tokens have at most the mass `target`."""
    before = 0.0
    tile, before_tile = 0, 0.0
    for start in tl.range(0, tokens[1], TILE, num_stages=3):
        mass = tl.sum(mass_of(tile_of(tokens, start, TILE)[0], tokens))
        begins = (before <= target) & (mass > 0)
        tile, before_tile = tl.where(begins, start, tile), tl.where(begins, before, before_tile)
        before += mass
    logits, at, _ = tile_of(tokens, tile, TILE)
    mass = mass_of(logits, tokens)
    begins = before_tile + (tl.cumsum(mass) - mass) <= target
    return tl.max(tl.where(begins & (mass > 0), at, 0))


@triton.jit
def _draw_likeliest(tokens, total, draw, top_k, top_p, min_p, BITS: tl.constexpr):
    """Where the token is that a draw means among what is kept, the likeliest first.

    total  the mass of all tokens of the row
    """
    key = tl.full((), 0, tl.uint32)  # kept are all tokens above this key, and `most` that have it
    most = tokens[1]
    if top_k > 0:
        key = search(tokens, top_k, 0.0, True, BITS)
        number, total = reached(tokens, key + 1, 0.0, BITS)
        most = top_k - number
        total += most * mass_at(key, tokens, BITS)
    if top_p < 1:
        share = tl.maximum(top_p, 1e-9) * total
        end = search(tokens, share, 0.0, False, BITS)
        missing = share - reached(tokens, end + 1, 0.0, BITS)[1]
        some = tl.maximum(tl.ceil(missing / mass_at(end, tokens, BITS)), 1.0).to(tl.int32)
        most = tl.where(end > key, some, tl.where(end == key, tl.minimum(most, some), most))
        key = tl.maximum(key, end)
    each = mass_at(key, tokens, BITS)
    total = reached(tokens, key + 1, min_p, BITS)[1] + tl.where(each >= min_p, most * each, 0.0)
    target = draw * total
    above = (target.to(tl.uint32, bitcast=True) + 1).to(tl.float32, bitcast=True)
    above = tl.maximum(tl.minimum(above, total), 1e-30)  # draws next to 1 and to 0
    drawn = tl.maximum(search(tokens, above, min_p, False, BITS), key)
    missing = target - reached(tokens, drawn + 1, min_p, BITS)[1]
    rank = tl.maximum(missing / mass_at(drawn, tokens, BITS), 0.0).to(tl.int32)
    rank = tl.where(drawn == key, tl.minimum(rank, most - 1), rank)
    return place_of(tokens, drawn, rank, BITS)


@triton.jit
def _bound(tokens, total, top_k, top_p, min_p):
    """The last bin that may hold what is kept, and the number of tokens up to it."""
    numbers = tl.zeros((BINS,), tl.int32)
    for start in tl.range(0, tokens[1], TILE, num_stages=3):
        logits, _, there = tile_of(tokens, start, TILE)
        numbers += tl.histogram(_bin(logits, tokens), BINS, there)
    bins = tl.arange(0, BINS)
    if top_k > 0:
        last = tl.sum((tl.cumsum(numbers) < top_k).to(tl.int32))
    else:
        at_most = numbers * tl.exp(-bins.to(tl.float32) / BINS_PER_NAT)
        tail = tl.cumsum(at_most, reverse=True)
        last = tl.sum((tail > (1 - top_p) * total * SLACK).to(tl.int32)) - 1
        far = -tl.log(tl.maximum(min_p, 1e-30)) * BINS_PER_NAT
        last = tl.minimum(last, far.to(tl.int32) + 1)
    return last, tl.sum(tl.where(bins <= last, numbers, 0))


@triton.jit
def _copy(tokens, last, candidates, places):
    """Copies the logits up to the bin `last`, and where they are, in the order of the vocabulary.

    What remains of the room is -inf.
    """
    tl.store(candidates + tl.arange(0, CANDIDATES), float("-inf"))
    tl.debug_barrier()
    filled = 0
    for start in tl.range(0, tokens[1], TILE, num_stages=3):
        logits, at, there = tile_of(tokens, start, TILE)
        wanted = (there & (_bin(logits, tokens) <= last)).to(tl.int32)
        number = tl.sum(wanted)
        if number > 0:
            to = filled + tl.cumsum(wanted) - 1
            tl.store(candidates + to, logits, wanted == 1)
            tl.store(places + to, at, wanted == 1)
        filled += number
    tl.debug_barrier()  # what one thread stored is loaded by others


@triton.jit
def _largest(logits, vocabulary):
    """The largest logit, and whether a token can be drawn: it is finite, and all logits are numbers."""
    best = tl.full((TILE,), float("-inf"), tl.float32)
    bad = tl.zeros((TILE,), tl.int32)
    for start in tl.range(0, vocabulary, TILE, num_stages=3):
        at = start + tl.arange(0, TILE)
        found = tl.load(logits + at, at < vocabulary, float("-inf")).to(tl.float32)
        best = tl.maximum(best, found)
        bad = tl.where(found == found, bad, 1)
    largest = tl.max(best)
    return largest, (tl.sum(bad) == 0) & (tl.abs(largest) < float("inf"))


@triton.jit
def _kernel(
    logits,
    draws,
    temperatures,
    top_ks,
    top_ps,
    min_ps,
    candidates,
    places,
    drawn,
    row_stride,
    vocabulary,
    BITS: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    logits += row * row_stride
    candidates += row * CANDIDATES
    places += row * CANDIDATES
    draw = tl.load(draws + row).to(tl.float32)
    top_k = tl.minimum(tl.load(top_ks + row), vocabulary)
    top_p, min_p = tl.load(top_ps + row), tl.load(min_ps + row)
    temperature = tl.load(temperatures + row)
    if temperature == 0:  # the likeliest alone
        temperature, top_k = 1.0, 1
    largest, can_be_drawn = _largest(logits, vocabulary)
    token = -1
    if can_be_drawn:
        tokens = (logits, vocabulary, largest, temperature)
        total = reached(tokens, 0, 0.0, BITS)[1]
        if (top_k == 0) & (top_p >= 1) & (min_p == 0):
            token = _draw_in_vocabulary(tokens, draw * total)
        else:
            last, number = _bound(tokens, total, top_k, top_p, min_p)
            few = number <= CANDIDATES
            if few:
                _copy(tokens, last, candidates, places)
            searched = tl.where(few, candidates, logits)
            count = tl.where(few, CANDIDATES, vocabulary)
            tokens = (searched, count, largest, temperature)
            token = _draw_likeliest(tokens, total, draw, top_k, top_p, min_p, BITS)
            token = tl.load(places + token, few, token)
    tl.store(drawn + row, token)


def draw(
    logits: torch.Tensor,
    draws: torch.Tensor,
    temperature: torch.Tensor,
    top_k: torch.Tensor,
    top_p: torch.Tensor,
    min_p: torch.Tensor,
) -> torch.Tensor:
    """A token for each row, int64 [n]; -1 where the largest logit is not finite.

    logits       [n, vocabulary], bf16 or 32 bit
    draws        [n], 64 bit, in [0, 1): where in the mass of what is kept the token is
    temperature  [n], 32 bit, as in `raysweep.spec.Sampling`, and so are the others
    top_k        [n], int32
    top_p, min_p [n], 32 bit
    """
    rows, vocabulary = logits.shape
    scratch = (rows, CANDIDATES.value)
    candidates = torch.empty(scratch, dtype=logits.dtype, device=logits.device)
    places = torch.empty(scratch, dtype=torch.int32, device=logits.device)
    drawn = torch.empty(rows, dtype=torch.int64, device=logits.device)
    launching.launch(
        _kernel,
        (rows,),
        logits,
        draws,
        temperature,
        top_k,
        top_p,
        min_p,
        candidates,
        places,
        drawn,
        logits.stride(0),
        vocabulary,
        BITS=16 if logits.dtype == torch.bfloat16 else 32,
        num_warps=16,
    )
    return drawn

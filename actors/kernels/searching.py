"""Searches among a row's logits: by rank, by mass, and by place.

    mass[i] = exp((logit[i] - largest) / temperature)

A key is a logit's bits as an ordered whole number; of bf16 only the upper 16 bits count. A search finds the
largest key at or above which tokens have a given number or mass, four bits in each pass over the logits.
Tokens are a tuple: a pointer to logits, their number, the largest logit, and the temperature.
"""

# Triton declares its range without an iterator.
# pyright: reportGeneralTypeIssues=false

import triton
import triton.language as tl

TILE = tl.constexpr(2048)
SEARCHED = tl.constexpr(1024)  # the tile of a search, which compares each logit with 16 keys
DIGIT = tl.constexpr(4)


@triton.jit
def key_of(logits, BITS: tl.constexpr):
    """The logits' bits, of which the first BITS are not zero, as whole numbers in the same order."""
    bits = tl.where(logits == 0, 0.0, logits.to(tl.float32)).to(tl.uint32, bitcast=True)
    bits = bits >> (32 - BITS)
    return tl.where(bits >> (BITS - 1) == 1, bits ^ (2**BITS - 1), bits ^ 2 ** (BITS - 1))


@triton.jit
def mass_of(logits, tokens):
    """The masses of tokens with these logits."""
    _, _, largest, temperature = tokens
    return tl.exp((logits.to(tl.float32) - largest) / temperature)


@triton.jit
def mass_at(key, tokens, BITS: tl.constexpr):
    """The mass of a token with this key."""
    bits = tl.where(key >> (BITS - 1) == 1, key ^ 2 ** (BITS - 1), key ^ (2**BITS - 1))
    return mass_of((bits << (32 - BITS)).to(tl.float32, bitcast=True), tokens)


@triton.jit
def tile_of(tokens, start, SIZE: tl.constexpr):
    """The logits of a tile, where they are, and whether they are there."""
    logits, count, _, _ = tokens
    at = start + tl.arange(0, SIZE)
    return tl.load(logits + at, at < count, float("-inf")), at, at < count


@triton.jit
def reached(tokens, key, least, BITS: tl.constexpr):
    """Number and mass of the tokens whose key is at least `key`, and whose mass is at least `least`."""
    number, total = tl.zeros((TILE,), tl.int32), tl.zeros((TILE,), tl.float32)
    for start in tl.range(0, tokens[1], TILE, num_stages=3):
        logits, _, there = tile_of(tokens, start, TILE)
        mass = mass_of(logits, tokens)
        counts = there & (key_of(logits, BITS) >= key) & (mass >= least)
        number += counts.to(tl.int32)
        total += tl.where(counts, mass, 0.0)
    return tl.sum(number), tl.sum(total)


@triton.jit
def search(tokens, target, least, COUNTED: tl.constexpr, BITS: tl.constexpr):
    """The largest key at which the number (COUNTED) or mass of `reached` is at least target, or else 0."""
    found = tl.full((), 0, tl.uint32)
    digits = tl.arange(0, 2**DIGIT).to(tl.uint32)
    for digit in range(BITS // DIGIT):
        shift = BITS - DIGIT - digit * DIGIT
        keys = found | (digits << shift)
        sums = tl.zeros((2**DIGIT, SEARCHED), tl.float32)
        for start in tl.range(0, tokens[1], SEARCHED):
            logits, _, there = tile_of(tokens, start, SEARCHED)
            mass = mass_of(logits, tokens)
            counts = tl.where(there & (mass >= least), 1.0 if COUNTED else mass, 0.0)
            at_least = key_of(logits, BITS)[None, :] >= keys[:, None]
            sums += tl.where(at_least, counts[None, :], 0.0)
        enough = (tl.sum(sums, 1) >= target) & (digits > 0)
        found |= tl.sum(enough.to(tl.int32)).to(tl.uint32) << shift
    return found


@triton.jit
def place_of(tokens, key, rank, BITS: tl.constexpr):
    """Where the last token with this key is before which at most `rank` tokens have it."""
    before, place = 0, 0
    for start in tl.range(0, tokens[1], TILE, num_stages=3):
        logits, at, there = tile_of(tokens, start, TILE)
        same = (there & (key_of(logits, BITS) == key)).to(tl.int32)
        number = tl.sum(same)
        if number > 0:
            comes = (same == 1) & (before + tl.cumsum(same) <= rank + 1)
            place = tl.maximum(place, tl.max(tl.where(comes, at, 0)))
        before += number
    return place

"""The scale threshold: below which effective size more weights beat more tokens. Pure: no I/O.

"Not All Bits Are Equal" (arXiv 2510.10964) finds that small models should spend memory on more weights
and large ones on longer, or more, generations, and puts the change at the 8-bit 4B model, without an
error bar. Effective size is the bytes of the weights.

The question put to the data, at every memory M (in steps of a quarter doubling):

    Take the best configuration within M: W bytes of weights, T tokens in all of its group. Now there is
    as much memory again. Spend it on weights: the best within 2M with more than W bytes and no more
    than T tokens. Or spend it on tokens: the best within 2M with more than T tokens and no more than W
    bytes. Which is more accurate?

The difference, weights less tokens, is the *advantage* of weights at the effective size W. (Both ways are
kept pure, because on a frontier the last byte is worth the same wherever it goes: what a finite step
tells apart is which way accuracy grows faster.) The threshold is the smallest size from which on the
advantage is negative, while below it is positive: let the weights grow up to it, then buy tokens.

The best of many noisy accuracies is flattered, and more so the more there are, which by itself would
look like a threshold: small sizes have most larger ones above them. So configurations are chosen on
one half of the questions, and their accuracies taken from the other half. A threshold is *decided* only
if the advantage is positive below it and negative above it, each at the 5% level, counting that the place
was searched for. Its interval holds 95% of the bootstrap's thresholds, and reaches out to the sizes next to
them, since nothing was measured in between.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysweep.candidates import Candidates
from raysweep.metrics import Floats
from raysweep.uncertainty import LEVEL, bootstrap_means

STEP = 2  # what the memory is multiplied with
STEPS_A_DOUBLING = 4
DRAWS = 400  # of the bootstrap; half as many random halvings for the estimate itself
FEWEST_QUESTIONS = 8

Advantage = NDArray[np.float64]  # NaN where there is no contest


@dataclass(frozen=True)
class Advantages:
    """How much weights beat tokens at one effective size, in accuracy, with its interval."""

    weights_bytes: int
    contests: int  # memories at which the best configuration has this size
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """The answer. `weights_bytes`, `low` and `high` are None unless it is decided.

    reason    in words, of either answer
    p_value   of the weaker of the two sides
    """

    decided: bool
    reason: str
    weights_bytes: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    advantages: tuple[Advantages, ...] = ()


def find_threshold(candidates: Candidates, batch_size: int, seed: int) -> Threshold:
    """The scale threshold of a benchmark's scenarios at a batch size."""
    sizes = np.unique(candidates.weights_bytes)
    if len(sizes) < 3:
        return Threshold(False, f"{len(sizes)} effective sizes show no change between them")
    if len(candidates.scores) < FEWEST_QUESTIONS:
        return Threshold(False, f"{len(candidates.scores)} questions are too few to be halved")
    rng = np.random.default_rng(seed)
    n_questions = len(candidates.scores)
    once = np.ones((DRAWS // 2, n_questions))
    drawn = rng.multinomial(n_questions, np.full(n_questions, 1 / n_questions), size=DRAWS)
    here = _halved(candidates, batch_size, once, rng)
    again = _halved(candidates, batch_size, drawn.astype(np.float64), rng)
    if not len(here.memories) or np.isnan(here.advantage).all():
        return Threshold(False, "no memory here can be spent on either weights or tokens")
    return _judge(sizes, here, again)


@dataclass(frozen=True, eq=False)
class _Contests:
    """What each draw found at each memory: the size of the best, and the advantage of weights."""

    memories: Floats
    size: NDArray[np.intp]  # [draws, memories] index into the sizes
    advantage: Advantage  # [draws, memories]

    def sums(self, n_sizes: int) -> tuple[Floats, NDArray[np.intp]]:
        """Total advantage and contests of each size: [draws, sizes] each."""
        held = ~np.isnan(self.advantage)
        at = [(self.size == size) & held for size in range(n_sizes)]
        totals = [np.where(where, self.advantage, 0.0).sum(axis=1) for where in at]
        return np.stack(totals, axis=1), np.stack([where.sum(axis=1) for where in at], axis=1)


def _halved(
    candidates: Candidates, batch_size: int, counts: Floats, rng: np.random.Generator
) -> _Contests:
    """Contests of each draw of the questions, chosen on one half and measured on the other.

    Every draw is used both ways round: the first half of the result's draws, then the second.
    """
    order = rng.random(counts.shape).argsort(axis=1)
    half = order < counts.shape[1] // 2  # a question lies in one half with all its copies
    first, second = (
        bootstrap_means(candidates.scores, _shares(np.where(mine, counts, 0.0)))
        for mine in (half, ~half)
    )
    return _contests(
        candidates, batch_size, np.concatenate([first, second]), np.concatenate([second, first])
    )


def _shares(counts: Floats) -> Floats:
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _contests(
    candidates: Candidates, batch_size: int, chosen_by: Floats, measured: Floats
) -> _Contests:
    """Advantages at each memory, given two independent accuracies of every scenario: [draws, rows]."""
    memory = candidates.memory_bytes(batch_size)
    doublings = np.log2(memory.max() / memory.min())
    steps = np.arange(int(doublings * STEPS_A_DOUBLING) + 1)
    memories = memory.min() * 2.0 ** (steps / STEPS_A_DOUBLING)
    ahead = round(np.log2(STEP) * STEPS_A_DOUBLING)
    states = _best_within(candidates, memory, memories, chosen_by, measured)
    recent: deque[_Best] = deque(maxlen=ahead + 1)
    pairs = []
    for state in states:
        recent.append(state)
        if len(recent) > ahead:
            pairs.append(_contest(recent[0], state))
    draws = len(chosen_by)
    size, advantage = zip(*pairs, strict=True) if pairs else ((), ())
    return _Contests(
        memories[: len(pairs)],
        np.array(size, dtype=np.intp).reshape(len(pairs), draws).T,
        np.array(advantage, dtype=np.float64).reshape(len(pairs), draws).T,
    )


@dataclass(frozen=True, eq=False)
class _Best:
    """The best configuration within a memory of each size and number of tokens: [draws, sizes, tokens].

    chosen_by  the accuracies that choose, -inf where nothing fits
    measured   the other accuracy of the same configuration
    """

    chosen_by: Floats
    measured: Floats

    def copy(self) -> "_Best":
        return _Best(self.chosen_by.copy(), self.measured.copy())

    def improve(self, at: tuple[int, int], chosen_by: Floats, measured: Floats) -> None:
        """Take in configurations of one size and number of tokens: [draws, configurations] each."""
        rows, winner = np.arange(len(chosen_by)), chosen_by.argmax(axis=1)
        where = (slice(None), *at)
        better = chosen_by[rows, winner] > self.chosen_by[where]
        self.chosen_by[where] = np.where(better, chosen_by[rows, winner], self.chosen_by[where])
        self.measured[where] = np.where(better, measured[rows, winner], self.measured[where])

    def among(self, allowed: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
        """The other accuracy of the best allowed one, and whether there is one: [draws] each."""
        draws = len(allowed)
        best = np.where(allowed, self.chosen_by, -np.inf).reshape(draws, -1)
        winner, rows = best.argmax(axis=1), np.arange(draws)
        return self.measured.reshape(draws, -1)[rows, winner], best[rows, winner] > -np.inf


def _best_within(
    candidates: Candidates, memory: Floats, memories: Floats, chosen_by: Floats, measured: Floats
) -> Iterator[_Best]:
    """The state at each memory, growing: every configuration is looked at once."""
    sizes, size_of = np.unique(candidates.weights_bytes, return_inverse=True)
    spent = candidates.column("token_budget") * candidates.column("group_size")
    tokens, tokens_of = np.unique(spent, return_inverse=True)
    shape = (len(chosen_by), len(sizes), len(tokens))
    best = _Best(np.full(shape, -np.inf), np.full(shape, np.nan))
    fits_at = np.searchsorted(memories, memory * (1 - 1e-12))
    keys = np.stack([fits_at, size_of, tokens_of], axis=1)
    order = np.lexsort(keys.T[::-1])
    cuts = np.flatnonzero((np.diff(keys[order], axis=0) != 0).any(axis=1)) + 1
    groups = [(tuple(keys[group[0]].tolist()), group) for group in np.split(order, cuts)]
    for step in range(len(memories)):
        while groups and groups[0][0][0] == step:
            (_, size, spend), group = groups.pop(0)
            best.improve((size, spend), chosen_by[:, group], measured[:, group])
        yield best.copy()


def _contest(now: _Best, later: _Best) -> tuple[NDArray[np.intp], Advantage]:
    """The size of the best now, and how far more weights are ahead of more tokens later: [draws] each."""
    draws, n_sizes, n_tokens = now.chosen_by.shape
    size, tokens = np.divmod(now.chosen_by.reshape(draws, -1).argmax(axis=1), n_tokens)
    larger = (np.arange(n_sizes) > size[:, None])[:, :, None]
    longer = (np.arange(n_tokens) > tokens[:, None])[:, None, :]
    more_weights, can_grow = later.among(larger & ~longer)
    more_tokens, can_think = later.among(~larger & longer)
    return size, np.where(can_grow & can_think, more_weights - more_tokens, np.nan)


def _judge(sizes: Floats, here: _Contests, again: _Contests) -> Threshold:
    """Look for the change of sign, and ask whether it could be chance."""
    totals, held = here.sums(len(sizes))
    total, contests = totals.mean(axis=0), held.mean(axis=0)
    drawn_totals, drawn_held = again.sums(len(sizes))
    drawn = drawn_totals.reshape(2, -1, len(sizes)).mean(axis=0)  # both ways round
    drawn_contests = drawn_held.reshape(2, -1, len(sizes)).mean(axis=0)
    met = contests > 0.5
    advantages = _by_size(sizes, total, contests, drawn, drawn_contests, met)
    # Cut c: the sizes before index c lie below the threshold, the others above.
    cuts = np.arange(1, len(sizes))
    below, above = _sides(total[None], cuts), _sides(drawn, cuts)
    z, chance = _standardised(below, above)
    weaker = z.min(axis=0)  # [cuts]
    p_value = float(max((side.max(axis=1) >= weaker.max()).mean() for side in chance))
    if p_value > 1 - LEVEL:
        return Threshold(False, _why_not(total, drawn), p_value=p_value, advantages=advantages)
    cut = int(cuts[_split(below)[0].argmax()])
    found = cuts[_split(above).argmax(axis=1)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(found, [tail, 1 - tail], method="inverted_cdf").astype(int)
    low, high = min(low, cut), max(high, cut)
    return Threshold(
        True,
        "more weights beat more tokens below, more tokens beat more weights above",
        weights_bytes=float(sizes[cut]),
        low=float(sizes[low - 1]),
        high=float(sizes[min(high + 1, len(sizes) - 1)]),
        p_value=p_value,
        advantages=advantages,
    )


def _sides(totals: Floats, cuts: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Total advantage below and above each cut: [draws, cuts] each."""
    running = np.cumsum(totals, axis=1)
    below = running[:, cuts - 1]
    return below, running[:, -1:] - below


def _split(sides: tuple[Floats, Floats]) -> Floats:
    """What a threshold at each cut explains: advantage below it, and disadvantage above."""
    below, above = sides
    return below - above


def _standardised(
    here: tuple[Floats, Floats], drawn: tuple[Floats, Floats]
) -> tuple[Floats, tuple[Floats, Floats]]:
    """Both sides in standard errors, [2, cuts], and what chance alone does: [draws, cuts] each."""
    signs = (1.0, -1.0)
    errors = [side.std(axis=0) for side in drawn]
    safe = [np.where(error > 1e-12, error, np.inf) for error in errors]
    z = np.stack([sign * side[0] / e for sign, side, e in zip(signs, here, safe, strict=True)])
    low, high = ((side - side.mean(axis=0)) / e for side, e in zip(drawn, safe, strict=True))
    return z, (low, -high)


def _why_not(total: Floats, drawn: Floats) -> str:
    z = total.sum() / max(float(drawn.sum(axis=1).std()), 1e-12)
    if z > 2:
        return "more weights beat more tokens over all sizes together, and no change is certain"
    if z < -2:
        return "more tokens beat more weights over all sizes together, and no change is certain"
    return "neither more weights nor more tokens are ahead by more than chance"


def _by_size(
    sizes: Floats,
    total: Floats,
    contests: Floats,
    drawn: Floats,
    drawn_contests: Floats,
    met: NDArray[np.bool_],
) -> tuple[Advantages, ...]:
    """The mean advantage at each size that had contests, with the bootstrap's percentiles around it."""
    tail = (1 - LEVEL) / 2
    found = []
    for index in np.flatnonzero(met):
        mean = total[index] / contests[index]
        there = drawn_contests[:, index] > 0
        each = drawn[there, index] / drawn_contests[there, index]
        low, high = np.quantile(each, [tail, 1 - tail]) if there.any() else (-1.0, 1.0)
        shift = mean - float(np.mean(each)) if there.any() else 0.0
        bounds = (float(mean), float(low + shift), float(high + shift))
        found.append(Advantages(int(sizes[index]), round(float(contests[index])), *bounds))
    return tuple(found)

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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.doubling import Contests, contests, halves
from raysweep.analysis.uncertainty import LEVEL
from raysweep.metrics import Floats

DRAWS = 400  # of the bootstrap; half as many random halvings for the estimate itself
FEWEST_QUESTIONS, FEWEST_SIZES = 8, 3
CERTAIN = 2  # standard errors, for what is said of all sizes together


@dataclass(frozen=True)
class Advantage:
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
    advantages: tuple[Advantage, ...] = ()


def find_threshold(candidates: Candidates, batch_size: int, seed: int) -> Threshold:
    """The scale threshold of a benchmark's scenarios at a batch size."""
    return find_thresholds(candidates, [batch_size], seed)[batch_size]


def find_thresholds(
    candidates: Candidates, batch_sizes: Sequence[int], seed: int
) -> dict[int, Threshold]:
    """The same at several batch sizes, on the same draws of the questions."""
    sizes, n_questions = np.unique(candidates.weights_bytes), len(candidates.scores)
    if len(sizes) < FEWEST_SIZES:
        none = Threshold(False, f"{len(sizes)} effective sizes show no change between them")
        return dict.fromkeys(batch_sizes, none)
    if n_questions < FEWEST_QUESTIONS:
        none = Threshold(False, f"{n_questions} questions are too few to be halved")
        return dict.fromkeys(batch_sizes, none)
    rng = np.random.default_rng(seed)
    once = np.ones((DRAWS // 2, n_questions))
    shares = np.full(n_questions, 1 / n_questions)
    again = rng.multinomial(n_questions, shares, size=DRAWS).astype(np.float64)
    here, drawn = (halves(candidates, counts, rng) for counts in (once, again))
    return {size: _at_batch(candidates, size, sizes, here, drawn) for size in batch_sizes}


Halves = tuple[Floats, Floats]


def _at_batch(
    candidates: Candidates, batch_size: int, sizes: Floats, here: Halves, drawn: Halves
) -> Threshold:
    estimate, again = (
        _Totals.of(contests(candidates, batch_size, *halved), len(sizes))
        for halved in (here, drawn)
    )
    met = np.flatnonzero(estimate.contests.mean(axis=0) >= 0.5)
    if met.size == 0:
        return Threshold(False, "no memory here can be spent on either weights or tokens")
    return _judge(sizes[met], estimate.at(met), again.at(met))


@dataclass(frozen=True, eq=False)
class _Totals:
    """Of each draw and effective size, the advantages of weights added up, and how many there are."""

    advantage: Floats  # [draws, sizes]
    contests: Floats  # [draws, sizes]

    @classmethod
    def of(cls, found: Contests, n_sizes: int) -> "_Totals":
        """Both ways round of a halving are one draw."""
        advantage, number = found.totals(n_sizes)
        both = (2, len(advantage) // 2, n_sizes)
        return cls(advantage.reshape(both).mean(axis=0), number.reshape(both).mean(axis=0))

    def at(self, sizes: NDArray[np.intp]) -> "_Totals":
        return _Totals(self.advantage[:, sizes], self.contests[:, sizes])


def _judge(sizes: Floats, estimate: _Totals, drawn: _Totals) -> Threshold:
    """Look for the change of sign, and ask whether it could be chance.

    Cut c: the sizes before index c lie below the threshold, the others not.
    """
    advantages = tuple(_advantage(index, sizes, estimate, drawn) for index in range(len(sizes)))
    if len(sizes) == 1:
        return Threshold(False, _why_not(estimate, drawn), advantages=advantages)
    here, again = _sides(estimate.advantage.mean(axis=0)[None]), _sides(drawn.advantage)
    p_value = _p_value(here, again)
    if p_value > 1 - LEVEL:
        return Threshold(False, _why_not(estimate, drawn), p_value=p_value, advantages=advantages)
    cut, cuts = int(_best_cut(here)[0]), _best_cut(again)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(cuts, [tail, 1 - tail], method="inverted_cdf").astype(int).tolist()
    return Threshold(
        True,
        "more weights beat more tokens below, more tokens beat more weights above",
        weights_bytes=float(sizes[cut]),
        low=float(sizes[min(low, cut) - 1]),
        high=float(sizes[min(max(high, cut) + 1, len(sizes) - 1)]),
        p_value=p_value,
        advantages=advantages,
    )


Sides = tuple[Floats, Floats]  # below and above each cut: [draws, cuts] each


def _sides(advantage: Floats) -> Sides:
    """Total advantage of weights below each cut, and of tokens above it."""
    running = np.cumsum(advantage, axis=1)
    return running[:, :-1], running[:, :-1] - running[:, -1:]


def _best_cut(sides: Sides) -> NDArray[np.intp]:
    """The cut of each draw that explains most: [draws]."""
    return np.add(*sides).argmax(axis=1) + 1


def _p_value(here: Sides, again: Sides) -> float:
    """How often chance alone makes one side, wherever it is cut, as good as the weaker one is at best."""
    errors = [np.where(side.std(axis=0) > 1e-12, side.std(axis=0), np.inf) for side in again]
    z = np.stack([side[0] / error for side, error in zip(here, errors, strict=True)])
    weaker = z.min(axis=0).max()
    chance = [(side - side.mean(axis=0)) / e for side, e in zip(again, errors, strict=True)]
    return float(max((one.max(axis=1) >= weaker).mean() for one in chance))


def _why_not(estimate: _Totals, drawn: _Totals) -> str:
    spread = float(drawn.advantage.sum(axis=1).std())
    z = float(estimate.advantage.sum(axis=1).mean()) / max(spread, 1e-12)
    if abs(z) < CERTAIN:
        return "neither more weights nor more tokens are ahead by more than chance"
    ahead, behind = ("weights", "tokens") if z > 0 else ("tokens", "weights")
    return f"more {ahead} beat more {behind} over all sizes together, and no change is certain"


def _advantage(index: int, sizes: Floats, estimate: _Totals, drawn: _Totals) -> Advantage:
    """The mean advantage at a size, with the bootstrap's percentiles around it."""
    number = float(estimate.contests[:, index].mean())
    mean = float(estimate.advantage[:, index].mean()) / number
    held = drawn.contests[:, index] > 0
    if not held.any():
        return Advantage(int(sizes[index]), round(number), mean, -1.0, 1.0)
    each = drawn.advantage[held, index] / drawn.contests[held, index]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(each, [tail, 1 - tail]) + (mean - each.mean())
    return Advantage(int(sizes[index]), round(number), mean, float(low), float(high))

"""The scale threshold: the effective size below which more weights are the better buy. Pure: no I/O.

"Not All Bits Are Equal" (arXiv 2510.10964) finds that small models should spend memory on more weights
and large ones on longer, or more, generations, and puts the change at the 8-bit 4B model, without an
error bar. Effective size is the bytes of the weights.

The question put to the data, at every memory M (in steps of a quarter doubling):

    Take the best configuration within M. It has W bytes of weights and T tokens in all of its group. Now
    double the memory. Spend it on weights: the best within 2M with more than W bytes and no more than
    T tokens. Or spend it on tokens: the best within 2M with more than T tokens and no more than W
    bytes. Which is more accurate?

The difference, weights less tokens, is the *advantage* of weights at the effective size W. Each way buys
one thing only, because on a frontier the last byte is worth the same wherever it goes, and a finite step
shows which way accuracy grows faster. The threshold is the smallest size from which on the advantage is
negative, while it is positive below. So weights should grow up to the threshold, and tokens after it.

The best of many noisy accuracies is biased upwards, and more so the more there are. That alone would look
like a threshold, since small sizes have the most larger sizes above them. So configurations are chosen on
one half of the questions and measured on the other half. A threshold is *decided* only if the advantage
is positive below it and negative above it, each at the 5% level, corrected for the search for its place.
Its interval holds 95% of the bootstrap's thresholds and is extended to the next sizes on both sides, since
nothing was measured in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.doubling import Contests, contests, halves
from raysweep.analysis.uncertainty import LEVEL
from raysweep.metrics import Floats

# Draws of the bootstrap. The estimate itself uses half as many random halvings of the questions.
DRAWS = 400
FEWEST_QUESTIONS, FEWEST_SIZES = 8, 3

# An advantage over all sizes together is reported from this many standard errors on.
CERTAIN = 2


@dataclass(frozen=True)
class Advantage:
    """How much better weights are than tokens at one effective size, in accuracy, with its interval."""

    weights_bytes: int
    contests: int  # memories at which the best configuration has this size
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """Whether there is a threshold. `weights_bytes`, `low` and `high` are None unless it is decided.

    reason    why it is decided or not, in words
    p_value   the larger of the p-values of the two sides
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
        none = Threshold(False, f"{len(sizes)} effective sizes are too few to show a change")
        return dict.fromkeys(batch_sizes, none)
    if n_questions < FEWEST_QUESTIONS:
        none = Threshold(False, f"{n_questions} questions are too few to split in halves")
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
        return Threshold(False, "no memory in this sweep can be spent on either weights or tokens")
    return _judge(sizes[met], estimate.at(met), again.at(met))


@dataclass(frozen=True, eq=False)
class _Totals:
    """The sum of the advantages of weights, and their number, per draw and effective size."""

    advantage: Floats  # [draws, sizes]
    contests: Floats  # [draws, sizes]

    @classmethod
    def of(cls, found: Contests, n_sizes: int) -> "_Totals":
        """A halving and its exchange count as one draw."""
        advantage, number = found.totals(n_sizes)
        both = (2, len(advantage) // 2, n_sizes)
        return cls(advantage.reshape(both).mean(axis=0), number.reshape(both).mean(axis=0))

    def at(self, sizes: NDArray[np.intp]) -> "_Totals":
        return _Totals(self.advantage[:, sizes], self.contests[:, sizes])


def _judge(sizes: Floats, estimate: _Totals, drawn: _Totals) -> Threshold:
    """Find the change of sign, and test whether it could be chance.

    Cut c means that the sizes before index c lie below the threshold, and the others do not.
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
        "more weights win below it, more tokens win above it",
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
    """The cut that explains most in each draw: [draws]."""
    return np.add(*sides).argmax(axis=1) + 1


def _p_value(here: Sides, again: Sides) -> float:
    """How often chance alone makes a side, at its best cut, as strong as the weaker side is here."""
    errors = [np.where(side.std(axis=0) > 1e-12, side.std(axis=0), np.inf) for side in again]
    z = np.stack([side[0] / error for side, error in zip(here, errors, strict=True)])
    weaker = z.min(axis=0).max()
    chance = [(side - side.mean(axis=0)) / e for side, e in zip(again, errors, strict=True)]
    return float(max((one.max(axis=1) >= weaker).mean() for one in chance))


def _why_not(estimate: _Totals, drawn: _Totals) -> str:
    spread = float(drawn.advantage.sum(axis=1).std())
    z = float(estimate.advantage.sum(axis=1).mean()) / max(spread, 1e-12)
    if abs(z) < CERTAIN:
        return "the difference between more weights and more tokens is not significant"
    ahead, behind = ("weights", "tokens") if z > 0 else ("tokens", "weights")
    return f"more {ahead} beat more {behind} over all sizes together, but no change is significant"


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

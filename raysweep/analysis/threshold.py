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
one half of the questions, by estimates, and measured on the other half. A threshold is *decided* only if the
advantage is positive below it and negative above it, each at the 5% level, corrected for the search for its
place, and if no single size contradicts its side: then there is more than one change. Its interval holds 95%
of the thresholds that samples of questions would give, and is extended to the next sizes on both sides, since
nothing was measured in between.

The same is asked of several benchmarks together, and of a smooth law of accuracy (see `advantages`), which
knows more but assumes more. The smooth answer stands beside the other one and never replaces it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.advantages import Advantages, by_halves, by_surface, pooled
from raysweep.analysis.candidates import Candidates
from raysweep.analysis.uncertainty import FEWEST_QUESTIONS, LEVEL, student_quantile
from raysweep.metrics import Floats
from raysweep.system.quantities import human_bytes

# The name of all benchmarks together, where a benchmark's name would stand.
POOLED = "all benchmarks"

FEWEST_SIZES = 3

# A size with fewer contests than this cannot contradict.
RARE = 0.2

# Samples of noise with the advantages' covariance, by which chance is judged.
SIMULATED = 20_000


@dataclass(frozen=True)
class SizeAdvantage:
    """How much better weights are than tokens at one effective size, in accuracy, with its interval."""

    weights_bytes: int
    contests: int  # memories at which the best configuration has this size, a mean over draws
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """Whether there is a threshold. `weights_bytes`, `low` and `high` are None unless it is decided.

    reason     why it is decided or not, in words
    p_value    the larger of the p-values of the two sides
    smooth     the answer by a smooth law of accuracy
    fit_p      of a smooth answer: the p-value of the law's fit
    agreement_p  of pooled benchmarks: the p-value of "they have the same advantages on both sides"
    """

    decided: bool
    reason: str
    weights_bytes: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    advantages: tuple[SizeAdvantage, ...] = ()
    smooth: "Threshold | None" = None
    fit_p: float | None = None
    agreement_p: float | None = None


@dataclass(frozen=True, eq=False)
class _Evidence:
    """A benchmark's advantages by batch size, in two ways, and how well the smooth law fits."""

    by_halves: Mapping[int, Advantages]
    smooth: Mapping[int, Advantages]
    fit_p: float

    @classmethod
    def of(cls, candidates: Candidates, batch_sizes: Sequence[int], seed: int) -> "_Evidence":
        return cls(
            by_halves(candidates, batch_sizes, seed), *by_surface(candidates, batch_sizes, seed)
        )


def find_thresholds(
    benchmarks: Mapping[str, Candidates], batch_sizes: Sequence[int], seed: int
) -> dict[tuple[str, int], Threshold]:
    """The scale thresholds by benchmark and batch size, each benchmark's on the same draws of its questions.

    Benchmarks that share scenarios have one more, by the name POOLED, after all others.
    """
    found: dict[tuple[str, int], Threshold] = {}
    evidence: dict[str, _Evidence] = {}
    for name, candidates in benchmarks.items():
        if why := _too_few(candidates):
            found |= {(name, size): Threshold(False, why) for size in batch_sizes}
        else:
            evidence[name] = _Evidence.of(candidates, batch_sizes, seed)
            found |= {(name, size): _answer([evidence[name]], size, seed) for size in batch_sizes}
    shared = _shared({name: benchmarks[name] for name in evidence})
    if len(shared) < 2:
        return found
    together = [
        evidence[name]
        if len(own) == len(benchmarks[name])
        else _Evidence.of(own, batch_sizes, seed)
        for name, own in shared.items()
    ]
    return found | {(POOLED, size): _answer(together, size, seed) for size in batch_sizes}


def _too_few(candidates: Candidates) -> str | None:
    sizes, questions = len(np.unique(candidates.weights_bytes)), len(candidates.scores)
    if sizes < FEWEST_SIZES:
        return f"{sizes} effective sizes are too few to show a change"
    if questions < FEWEST_QUESTIONS:
        return f"{questions} questions are too few to split in halves"
    return None


def _shared(benchmarks: Mapping[str, Candidates]) -> dict[str, Candidates]:
    """Each benchmark's candidates whose configurations all of them have; none if these are too few."""
    own = {name: set(candidates.configurations) for name, candidates in benchmarks.items()}
    common = set.intersection(*own.values()) if own else set()
    taken = {
        name: candidates.take(i for i, c in enumerate(candidates.configurations) if c in common)
        for name, candidates in benchmarks.items()
        if common
    }
    return {} if any(map(_too_few, taken.values())) else taken


def _answer(evidence: Sequence[_Evidence], batch_size: int, seed: int) -> Threshold:
    """The model-free answer of one or several benchmarks, with the smooth one beside it."""
    own = [one.by_halves[batch_size] for one in evidence]
    smooth = judged(pooled(one.smooth[batch_size] for one in evidence), seed)
    # Of several fits the worst counts, corrected for their number.
    fit_p = min(1.0, len(evidence) * min(one.fit_p for one in evidence))
    return replace(
        judged(pooled(own), seed),
        smooth=replace(smooth, fit_p=fit_p),
        agreement_p=_agreement(own, seed) if len(own) > 1 else None,
    )


def judged(own: Advantages, seed: int) -> Threshold:
    """Find the change of sign, and test whether it could be chance.

    Cut c means that the sizes before index c lie below the threshold, and the others do not. Sizes that are
    seldom met count on their side of a cut, but are no place for one.
    """
    contested = np.flatnonzero(own.contested)
    if len(contested) == 0:
        return Threshold(False, "no memory in this sweep can be spent on either weights or tokens")
    each = tuple(_advantage(index, own) for index in contested.tolist())
    noise, places = own.noise(SIMULATED, seed), contested[1:]
    if len(places) == 0:
        return Threshold(False, _why_not(own, noise), advantages=each)
    here, chance = _sides(own.total[None], places), _sides(noise, places)
    p_value = _p_value(here, chance)
    if p_value > 1 - LEVEL:
        return Threshold(False, _why_not(own, noise), p_value=p_value, advantages=each)
    cut = int(_best_cut(here)[0])
    if why := _contradiction(own, int(places[cut]), noise):
        return Threshold(False, why, p_value=p_value, advantages=each)
    tail = (1 - LEVEL) / 2
    cuts = _best_cut(_sides(own.total + noise, places))
    low, high = np.quantile(cuts, [tail, 1 - tail], method="inverted_cdf").astype(int).tolist()
    return Threshold(
        True,
        "more weights win below it, more tokens win above it",
        weights_bytes=float(own.sizes[places[cut]]),
        low=float(own.sizes[contested[min(low, cut)]]),
        high=float(own.sizes[places[min(max(high, cut) + 1, len(places) - 1)]]),
        p_value=p_value,
        advantages=each,
    )


Sides = tuple[Floats, Floats]  # below and above each cut: [draws, cuts] each


def _sides(advantage: Floats, places: NDArray[np.intp]) -> Sides:
    """Total advantage of weights below the cut at each place, and of tokens above it."""
    running = np.cumsum(advantage, axis=1)
    below = running[:, places - 1]
    return below, below - running[:, -1:]


def _best_cut(sides: Sides) -> NDArray[np.intp]:
    """Index of the cut that explains most in each draw: [draws]."""
    return np.add(*sides).argmax(axis=1)


def _p_value(here: Sides, chance: Sides) -> float:
    """How often chance alone makes a side, at its best cut, as strong as the weaker side is here."""
    errors = [np.where(side.std(axis=0) > 1e-12, side.std(axis=0), np.inf) for side in chance]
    z = np.stack([side[0] / error for side, error in zip(here, errors, strict=True)])
    weaker = z.min(axis=0).max()
    strongest = [(s / error).max(axis=1) for s, error in zip(chance, errors, strict=True)]
    return float(max((1 + (one >= weaker).sum()) / (1 + SIMULATED) for one in strongest))


def _contradiction(own: Advantages, cut: int, noise: Floats) -> str | None:
    """The size that lies on the wrong side of the cut, if there is one at the level of all sizes together."""
    counted = np.flatnonzero(own.contests >= RARE)
    side = np.where(counted < cut, -1.0, 1.0) / own.errors[counted]
    contrary, chance = own.total[counted] * side, noise[:, counted] * side
    if contrary.max() < np.quantile(chance.max(axis=1), LEVEL):
        return None
    worst = int(counted[contrary.argmax()])
    winner, place = ("tokens", "below") if worst < cut else ("weights", "above")
    return (
        f"there is more than one change: more {winner} win at {human_bytes(own.sizes[worst])}, "
        f"which lies {place} the change at {human_bytes(own.sizes[cut])}"
    )


def _agreement(several: Sequence[Advantages], seed: int) -> float:
    """The p-value of "these benchmarks have the same advantages on both sides of the pooled cut"."""
    together = pooled(several)
    places = np.flatnonzero(together.contested)[1:]
    if len(places) == 0:
        return 1.0
    cut = places[_best_cut(_sides(together.total[None], places))[0]]
    above = np.arange(len(together.sizes)) >= cut
    sides = np.stack([~above, above]).astype(np.float64)
    here = np.stack([sides @ one.total for one in several])[None]
    noise = [one.noise(SIMULATED, seed + i) @ sides.T for i, one in enumerate(several)]
    drawn = np.stack(noise, axis=1)
    weights = 1 / np.maximum(drawn.var(axis=0), 1e-12)
    found, chance = (_heterogeneity(values, weights) for values in (here, drawn))
    return float((1 + (chance >= found).sum()) / (1 + SIMULATED))


def _heterogeneity(values: Floats, weights: Floats) -> Floats:
    """Weighted squared distances from the weighted mean: [draws] of [draws, benchmarks, sides]."""
    mean = (values * weights).sum(axis=1, keepdims=True) / weights.sum(axis=0)
    return ((values - mean) ** 2 * weights).sum(axis=(1, 2))


def _why_not(own: Advantages, noise: Floats) -> str:
    whole, chance = float(own.total.sum()), np.abs(noise.sum(axis=1))
    if abs(whole) <= max(float(np.quantile(chance, LEVEL)), 1e-12):
        return "the difference between more weights and more tokens is not significant"
    ahead, behind = ("weights", "tokens") if whole > 0 else ("tokens", "weights")
    return f"more {ahead} beat more {behind} over all sizes together, but no change is significant"


def _advantage(index: int, own: Advantages) -> SizeAdvantage:
    """The mean advantage at a size, with its interval."""
    number = float(own.contests[index])
    mean, error = float(own.total[index]) / number, float(own.errors[index]) / number
    half = float(student_quantile((1 + LEVEL) / 2, np.array(own.freedom))) * error
    return SizeAdvantage(int(own.sizes[index]), round(number), mean, mean - half, mean + half)

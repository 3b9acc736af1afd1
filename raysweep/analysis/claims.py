"""Claims after a search: effects whose intervals and p-values count everything that was searched. Pure.

Many contests are looked at, and one is announced: the first memory, the engines where one side is better.
So their intervals are simultaneous. With 95% probability all of them hold together, so a claim may be
picked from them by any rule. They are the effect +- c standard errors, with one c for all (max-t).

*c* is a quantile of the largest |t| where nothing differs. For this, the residuals of each question get a
random sign, the same for all contests, which keeps their correlation (Westfall and Young 1993).

*The standard error* is that of a mean over questions, made larger for choices. A question counts as a
judge, and once more as a chooser for the other questions. The variance between questions holds at least
half of both for choices that depend on pairs of questions. The other half is the smaller of two numbers:
what the variance between questions can miss at most, and half of the variance between halvings, which
vanishes where all halvings choose the same. `python -m benchmarks.claims` holds the result against worlds
in which nothing differs.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from raysweep.analysis.halving import Differences
from raysweep.analysis.uncertainty import LEVEL
from raysweep.metrics import Floats

FLIPS = 4000
# Fewer questions are too few to be halved.
FEWEST_QUESTIONS = 8

# Intervals touch 0 where every difference is 0 up to rounding.
ZERO = 1e-12


@dataclass(frozen=True)
class Claim:
    """One of the effects that were compared: an accuracy less another.

    low, high  its simultaneous 95% interval
    p_value    adjusted for all that were compared, in both directions; None if it is unknown
    compared   how many these were
    """

    effect: float
    low: float
    high: float
    p_value: float | None
    compared: int

    @property
    def sign(self) -> Literal[-1, 0, 1]:
        """1 if it is above 0, -1 if it is below, 0 if these data do not decide it."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def judge(differences: Differences, seed: int) -> tuple[Claim, ...]:
    """A claim for each column, adjusted for all of them."""
    values = differences.by_question
    n_questions, compared = values.shape
    n, effect, of_questions = _moments(values)
    if n_questions < FEWEST_QUESTIONS:
        return tuple(Claim(float(each), -1.0, 1.0, 1.0, compared) for each in effect)
    _, _, of_halvings = _moments(differences.by_halving)
    of_mean = of_questions / np.maximum(n, 1)
    error = np.sqrt(of_mean + np.minimum(of_halvings / 2, of_mean))
    residuals = np.where(np.isnan(values), 0.0, values - effect)
    t = np.where(error > ZERO, np.abs(effect) / np.maximum(error, ZERO), 0.0)
    # Where all questions agree on a difference, there is no error to divide by.
    t = np.where((error <= ZERO) & (np.abs(effect) > ZERO), np.inf, t)
    largest = _largest_by_chance(residuals, n, seed)
    reach = np.quantile(largest, LEVEL) * error
    p_values = [(1 + (largest >= each - ZERO).sum()) / (1 + len(largest)) for each in t]
    columns = zip(effect.tolist(), reach.tolist(), n.tolist(), p_values, strict=True)
    return tuple(
        Claim(mean, max(-1.0, mean - half), min(1.0, mean + half), float(p), compared)
        if number >= FEWEST_QUESTIONS
        else Claim(mean, -1.0, 1.0, 1.0, compared)
        for mean, half, number, p in columns
    )


def _moments(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Number, mean and variance of each column's values, where they are not NaN: [columns] each."""
    held = ~np.isnan(values)
    n = held.sum(axis=0).astype(np.float64)
    mean = np.where(held, values, 0.0).sum(axis=0) / np.maximum(n, 1)
    squares = np.where(held, values - mean, 0.0) ** 2
    return n, mean, squares.sum(axis=0) / np.maximum(n - 1, 1)


def _largest_by_chance(residuals: Floats, n: Floats, seed: int) -> Floats:
    """The largest |t| over the columns for each choice of signs: [FLIPS]."""
    norm = np.sqrt((residuals**2).sum(axis=0))
    units = residuals[:, norm > ZERO] / norm[norm > ZERO]
    if not units.size:
        return np.zeros(FLIPS)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (FLIPS, len(units)))
    # A sum of n unit residuals has variance 1, so this is Student's t with its own variance.
    cosine = np.abs(signs @ units).clip(max=np.sqrt(n[norm > ZERO]) * (1 - 1e-9))
    number = n[norm > ZERO]
    return (cosine * np.sqrt((number - 1) / (number - cosine**2))).max(axis=1)

"""Claims after a search: effects whose intervals and p-values count everything that was searched. Pure.

Many pairings are looked at, and one is announced: the first memory, the engines where one side is better.
So their intervals are simultaneous. With 95% probability all of them hold together, so a claim may be
picked from them by any rule. They are the effect +- c standard errors, with one c for all (max-t).

*c* is a quantile of the largest |t| where nothing differs. For this, the residuals of each question get a
random sign, the same for all pairings, which keeps their correlation (Westfall and Young 1993).

*The standard error* of an effect over n questions is the root of

    V / n + min(H / 2, V / n)

where V is the variance of its differences between questions, and H its variance between halvings. The
first term is the usual one of a mean, which takes the choices as given. But a question does not only
judge. It also has a part in choosing what other questions judge, which the second term is for. Where all
halvings choose the same, H is 0 and so is the second term. Where choices depend on pairs of questions, the
first term holds at least half of the whole, so the second is at most as large. Other choices may depend on
more, so this is a rule of thumb: `python -m benchmarks.claims` holds it against worlds in which nothing
differs.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from raysweep.analysis.halving import Differences
from raysweep.analysis.uncertainty import FEWEST_QUESTIONS, LEVEL
from raysweep.metrics import Floats

FLIPS = 4000

# What is smaller is 0 up to rounding.
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
    effect = _without_rounding(effect)
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
    low, high = (
        _without_rounding(np.clip(end, -1.0, 1.0)) for end in (effect - reach, effect + reach)
    )
    ends = zip(low.tolist(), high.tolist(), n.tolist(), strict=True)
    return tuple(
        Claim(mean, lower, upper, float(p), compared)
        if number >= FEWEST_QUESTIONS
        else Claim(mean, -1.0, 1.0, 1.0, compared)
        for mean, p, (lower, upper, number) in zip(effect.tolist(), p_values, ends, strict=True)
    )


def _without_rounding(values: Floats) -> Floats:
    return np.where(np.abs(values) > ZERO, values, 0.0)


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

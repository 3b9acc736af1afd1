"""How many standard errors make a difference certain enough to stop sampling. Pure: no I/O.

A configuration is out if another one takes its place: one that is better, or worse by less than epsilon,
beyond the critical value. That goes wrong only for a leader: a configuration that is better by epsilon or
more than all those that might take its place. So the critical value is the quantile of the largest t, over
the comparisons of every possible leader, in draws of a multiplier bootstrap of the samples' contributions.

At first every configuration may be a leader. Those that are out by the critical value of all of them are
none, so the others have a smaller one, and so on until nothing changes (Romano and Wolf 2005). A fixed bound,
such as sqrt(ln(samples)) standard errors, would be passed by chance where a leader has many comparisons. A
comparison that a leader wins by as much is not lost by chance, and is left out (Andrews and Soares 2010).

The t of a comparison takes the variance that it would have if the difference were epsilon, and the bound of a
difference follows from it. This is Tango's score interval of paired proportions (1998), for differences that
are rare and a finite number of samples. So two configurations whose samples all agree may still differ: after
M samples by up to c^2/M times the unseen share.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from raysweep.metrics import Floats

DRAWS, SEED = 400, 1
SMALLEST_ERROR = 1e-9

# A critical value is rounded up to so many decimals, so that the last bits of a product do not show.
PLACES = 3

Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]
Singles = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Every ordered pair of configurations of a benchmark after n of N samples.

    ahead      how much more accurate the second is than the first: [first, second]
    error      its standard error
    influence  contributions of each sample (`influence`): [configurations, samples]
    unseen     1 - n/N
    """

    ahead: Singles
    error: Singles
    influence: Singles
    unseen: float

    @classmethod
    def of(cls, accuracy: Floats, influence: Floats, unseen: float) -> "Comparisons":
        products = influence @ influence.T
        own = np.diag(products)
        variance = own[:, None] + own[None, :] - 2 * products
        error = np.sqrt(np.maximum(variance, SMALLEST_ERROR**2)).astype(np.float32)
        ahead = (accuracy[None, :] - accuracy[:, None]).astype(np.float32)
        return cls(ahead, error, influence.astype(np.float32), unseen)

    @property
    def samples(self) -> int:
        """Samples of each configuration, over all questions."""
        return self.influence.shape[1]

    def most_ahead(self, critical: float) -> Singles:
        """The most by which the second may be more accurate than the first: [first, second].

        The bound is `ahead` + y with y^3 = y (c^2 error^2 + g^2) + ahead g^2, where g is the bound of two
        configurations that agree. This is its first order in `ahead`, which below 0 is left out.
        """
        agreeing = np.float32(critical**2 * self.unseen / self.samples)
        squared = np.square(np.float32(critical) * self.error) + agreeing**2
        skewed = np.maximum(self.ahead, 0) * agreeing**2 / (2 * squared)
        return (self.ahead + np.sqrt(squared) + skewed).astype(np.float32)

    def statistic(self, epsilon: float) -> Singles:
        """By how many standard errors the second is less than epsilon ahead: [first, second]."""
        short, variance = np.float32(epsilon) - self.ahead, np.square(self.error)
        one = np.float32(self.unseen / self.samples)
        rare = np.maximum(np.square(variance) + 4 * np.float32(epsilon) * short * one**2, 0)
        return (short / np.sqrt((variance + np.sqrt(rare)) / 2)).astype(np.float32)

    def critical_value(self, possible: Sequence[Bools], epsilon: float, alpha: float) -> float:
        """For comparisons of a look that may err with probability `alpha`.

        possible  for each batch size, whether the first may take the place of the second: [first, second]
        """
        t, compared = self.statistic(epsilon), sum(int(own.sum()) for own in possible)
        won = math.sqrt(math.log(max(2, self.samples)))
        # Bonferroni's bound is at least the critical value of all comparisons.
        most = NormalDist().inv_cdf(1 - alpha / max(2, compared))
        rng = np.random.default_rng(SEED)
        draws = self.influence @ rng.standard_normal((self.samples, DRAWS), dtype=np.float32)
        reached, largest = [], []
        for own in possible:
            highest = np.where(own, t, -np.inf).max(axis=0)
            close = own & (t > -won)
            for second in np.flatnonzero((highest <= most) & close.any(axis=0)):
                firsts = np.flatnonzero(close[:, second])
                drawn = (draws[second] - draws[firsts]) / self.error[firsts, second][:, None]
                largest.append(drawn.max(axis=0))
                reached.append(highest[second])
        value = _stepped_down(np.array(reached), largest, alpha)
        return math.ceil(value * 10**PLACES) / 10**PLACES


def _stepped_down(reached: Singles, largest: Sequence[Singles], alpha: float) -> float:
    """The critical value of those leaders that are not out by it.

    reached  the largest t of each: [leaders]
    largest  the largest t of each in the draws: [leaders, draws]
    """
    value, leads = math.inf, np.ones(len(reached), dtype=np.bool_)
    least = NormalDist().inv_cdf(1 - alpha)
    while np.any(leads):
        highest = np.max([largest[at] for at in np.flatnonzero(leads)], axis=0)
        value = max(least, float(np.quantile(highest, 1 - alpha, method="higher")))
        left = leads & (reached <= value)
        if left.sum() == leads.sum():
            return value
        leads = left
    return least

"""How many standard errors make a difference certain enough to stop sampling. Pure: no I/O.

A configuration is out if another one takes its place: one that is better, or worse by less than epsilon,
beyond the critical value. That goes wrong only for a leader: a configuration that is better by epsilon or
more than all those that might take its place. So the critical value is the quantile of the largest t, over
the comparisons of every possible leader, in draws of a multiplier bootstrap of the samples' contributions.

Which comparisons could go wrong is told by the data (generalised moment selection; Andrews and Soares 2010):
a configuration that another one passes by more than sqrt(ln(samples)) standard errors is no leader, and a
comparison that a leader wins by as much is not lost by chance.
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

        Two configurations whose samples all agree may still differ in those to come. So a rate is added at
        which none of the samples would differ with the probability that the critical value leaves.
        """
        left = NormalDist().cdf(-critical)
        rate = self.unseen * -math.log(left) / self.samples
        return (self.ahead + critical * self.error + rate).astype(np.float32)

    def critical_value(self, possible: Sequence[Bools], epsilon: float, alpha: float) -> float:
        """For comparisons of a look that may err with probability `alpha`.

        possible  for each batch size, whether the first may take the place of the second: [first, second]
        """
        compared = np.any([self._open(own, epsilon) for own in possible], axis=0)
        rng = np.random.default_rng(SEED)
        draws = self.influence @ rng.standard_normal((self.samples, DRAWS), dtype=np.float32)
        largest = np.full(DRAWS, -np.inf, dtype=np.float32)
        for second in np.flatnonzero(compared.any(axis=0)):
            firsts = np.flatnonzero(compared[:, second])
            ahead = draws[second] - draws[firsts]
            np.maximum(
                largest, (ahead / self.error[firsts, second][:, None]).max(axis=0), out=largest
            )
        value = float(np.quantile(largest, 1 - alpha, method="higher"))
        least = NormalDist().inv_cdf(1 - alpha)
        return math.ceil(max(value, least) * 10**PLACES) / 10**PLACES

    def _open(self, possible: Bools, epsilon: float) -> Bools:
        """The comparisons by which a leader could be lost by chance: [first, second]."""
        t = (epsilon - self.ahead) / self.error
        passed = math.sqrt(math.log(max(2, self.samples)))
        leads = np.where(possible, t, -np.inf).max(axis=0) <= passed
        return possible & (t > -passed) & leads

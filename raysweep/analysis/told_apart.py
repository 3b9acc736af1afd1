"""Which configurations are worse than the recommended one by more than chance, of all of them. Pure: no I/O.

A paired interval of 95% holds for one comparison. Of thousands of configurations that are as good, hundreds
are behind by more than such an interval. So one *critical value* serves all comparisons: in each
bootstrap draw of the questions, centred scores make all configurations equal, and the largest absolute t of
the recommended one against each other is kept. In one draw of twenty it exceeds the critical value (a max-t
test; Westfall and Young 1993). So all intervals hold at once, on both of their sides. The recommended one is
taken as given, though it was chosen for being ahead. That the choice is shrunken keeps what this adds small:
see `benchmarks.selection`.

The products are in float32, which is exact enough for a quantile.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.candidates import Indices
from raysweep.analysis.uncertainty import LEVEL, bootstrap_weights, student_quantile
from raysweep.metrics import Floats

DRAWS, SEED = 400, 1

# Smaller variances of a difference between two scores are rounding.
SMALLEST_VARIANCE = 1e-7

# A probability above which a quantile is not looked up: that of six standard deviations.
HIGHEST = NormalDist().cdf(6.0)

# Critical values are rounded, so that the last bits of float32 do not show.
PLACES = 3

# Configurations that are compared at once, so that they fit the processor's cache.
CONFIGURATIONS_AT_ONCE = 512

Singles = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CentredDraws:
    """Bootstrap draws in which all configurations are equally good.

    scores  each question's score less the configuration's mean, 0 if it was not measured:
            [questions, configurations]
    means   of these in each draw: [draws, configurations]
    """

    scores: Singles
    means: Singles

    @classmethod
    def of(cls, scores: Floats) -> "CentredDraws":
        measured = ~np.isnan(scores)
        known = np.where(measured, scores, 0.0)
        mean = known.sum(axis=0) / np.maximum(measured.sum(axis=0), 1)
        centred = np.where(measured, known - mean, 0.0).astype(np.float32)
        weights = bootstrap_weights(len(scores), DRAWS, SEED).astype(np.float32)
        return cls(centred, weights @ centred)

    def take(self, chosen: Indices) -> "CentredDraws":
        return CentredDraws(self.scores[:, chosen], self.means[:, chosen])

    def critical_value(self, best: int, count: int) -> float:
        """For the configuration `best` against all of the first `count`; 0 for a single question."""
        n = len(self.scores)
        if n < 2:
            return 0.0
        largest = np.zeros(len(self.means), dtype=np.float32)
        for start in range(0, count, CONFIGURATIONS_AT_ONCE):
            some = slice(start, min(start + CONFIGURATIONS_AT_ONCE, count))
            np.maximum(largest, self._largest(best, some), out=largest)
        value = np.quantile(largest, LEVEL, method="higher")
        return round(_for_new_questions(float(value), n), PLACES)

    def _largest(self, best: int, others: slice) -> Singles:
        """The largest |t| of the configuration `best` against each of the others in each draw: [draws]."""
        n = len(self.scores)
        differences = self.scores[:, [best]] - self.scores[:, others]
        variance = np.einsum("qi,qi->i", differences, differences) / (n - 1)
        error = np.sqrt(np.maximum(variance, SMALLEST_VARIANCE) / n, dtype=np.float32)
        ahead = self.means[:, [best]] - self.means[:, others]
        np.abs(ahead, out=ahead)
        ahead /= error
        return ahead.max(axis=1)


def _for_new_questions(value: float, n: int) -> float:
    """A quantile of t over bootstrap draws of n questions, as one of t over samples of n new questions.

    Draws vary less than new questions, by (n - 1) / n. And t over draws has the standard error of the data,
    where each sample of new questions has its own: this widens its tail as Student's is wider than the
    normal one.
    """
    normal = NormalDist().cdf(value * math.sqrt(n / (n - 1)))
    return float(student_quantile(min(normal, HIGHEST), np.array(n - 1.0)))

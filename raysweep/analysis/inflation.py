"""How much longer one engine thinks about the same questions than another. Pure: no I/O.

The one idea: fewer bits may cost tokens instead of accuracy. A model that lost precision can wander, and
then it pays for its smaller weights with a longer trace. So lengths are compared as a ratio of means,
paired by question. A length is the mean number of thinking tokens of a question's samples, NaN without
samples.

    ratio = mean(one) / mean(other)

The error of its logarithm is that of the mean of one / mean(one) - other / mean(other) over the questions
(the delta method), with Student's quantile. Several models are pooled by the geometric mean of their ratios.
Their errors are correlated, because they think about the same questions, and so their deviations are
averaged question by question.

A trace is counted up to the largest token budget. One that was cut there would have gone on, so the ratio
is of the tokens spent within this budget, and where many traces are cut it says little about their length.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.analysis.uncertainty import LEVEL, holm_level, paired_difference
from raysweep.metrics import Floats


@dataclass(frozen=True)
class Ratio:
    """A ratio of lengths; `value` is NaN if no question was measured or nobody thought at all.

    deviations  for each measured question, its part in the error of the logarithm: [questions]
    """

    value: float
    deviations: Floats

    @property
    def n_questions(self) -> int:
        return len(self.deviations)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The bounds of the ratio; NaN below two questions."""
        if self.n_questions < 2 or math.isnan(self.value):
            return math.nan, math.nan
        half = paired_difference(self.deviations, np.zeros_like(self.deviations), level).high
        return self.value * math.exp(-half), self.value * math.exp(half)

    def excludes_1(self, level: float = LEVEL) -> bool:
        low, high = self.interval(level)
        return low > 1 or high < 1


def length_ratio(pairs: Sequence[tuple[Floats, Floats]]) -> Ratio:
    """The geometric mean of mean(one) / mean(other) over pairs of lengths, each [questions].

    Only questions count that every engine of every pair has samples of.
    """
    lengths = np.array(pairs, dtype=np.float64)  # [pairs, 2, questions]
    lengths = lengths[:, :, ~np.isnan(lengths).any(axis=(0, 1))]
    n_questions = lengths.shape[2]
    means = lengths.sum(axis=2) / max(1, n_questions)  # [pairs, 2]
    if not np.all(means > 0):
        return Ratio(math.nan, np.full(n_questions, math.nan))
    shares = lengths / means[:, :, None]
    value = math.exp(float(np.log(means[:, 0] / means[:, 1]).mean()))
    return Ratio(value, (shares[:, 0] - shares[:, 1]).mean(axis=0))


def decided(ratios: Sequence[Ratio], level: float = LEVEL) -> list[bool]:
    """Which ratios differ from 1 if all are judged together, by Holm's method.

    With probability `level` none of those that are equal to 1 is among them.
    """
    single = holm_level(
        lambda one: sum(ratio.excludes_1(one) for ratio in ratios), len(ratios), level
    )
    return [ratio.excludes_1(single) for ratio in ratios]

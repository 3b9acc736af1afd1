"""How sure a mean over questions is. Pure: no I/O.

The one idea: a benchmark is a sample of questions, so questions are the clusters. However many samples a
question has, it counts as one number, its score, and errors are taken over questions. Everything is given
as scores [questions, ...points], NaN where a question was not measured at a point.

*Interval of an accuracy*: Wilson's score interval with the effective sample size mean(1 - mean)/se^2
(Korn and Graubard 1998), and Student's quantile in place of the normal one where scores lie inside
[0, 1]. Its degrees of freedom are those of the variance estimate, 2n/(kurtosis - 1) (Satterthwaite),
which are few where a few questions are solved among many that fail. The percentile bootstrap would cover
86 to 91% on hard benchmarks with 30 questions, where this interval covers 93 to 97% (simulated in the
tests). *Bootstrap*: for what depends on many scenarios at once, such as a place on a frontier. One set of
weights serves all of a benchmark's scenarios, so that every comparison is paired.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from raysweep.metrics import Floats, rounded

LEVEL = 0.95

# Fewer questions are not halved into some that choose and some that judge.
FEWEST_QUESTIONS = 8

# A kurtosis that is estimated from few questions does not justify fewer degrees of freedom.
FEWEST_DF = 4

# Members that are compared with one at a time.
MEMBERS_AT_ONCE = 512


@dataclass(frozen=True)
class ConfidenceInterval:
    """A mean over questions with its bounds; arrays where the scores had several points."""

    mean: Floats
    low: Floats
    high: Floats


def mean_score(scores: Floats) -> Floats:
    """Mean over the questions that were measured: [...points]; NaN if none was."""
    return rounded(mean_measured(scores))


def standard_error(scores: Floats) -> Floats:
    """Standard error of the mean, clustered by question: [...points]; NaN below two questions."""
    n = (~np.isnan(scores)).sum(axis=0)
    return rounded(np.sqrt(divided(_variance(scores), n)))


def run_spread(probabilities: Floats) -> Floats:
    """Standard deviation of one run's accuracy over runs on the same questions: [...points].

    A run answers each question once, and correctly with the given probability.
    """
    measured = ~np.isnan(probabilities)
    binomial = np.where(measured, probabilities * (1 - probabilities), 0.0).sum(axis=0)
    return rounded(divided(np.sqrt(binomial), measured.sum(axis=0)))


def score_interval(scores: Floats, level: float = LEVEL) -> ConfidenceInterval:
    """The mean of scores within [0, 1] and its confidence interval, which stays within [0, 1].

    Where the scores differ too little to estimate a variance (all are equal, or successes or failures add
    up to less than one question) the sample size is the number of questions. This gives a wide interval
    rather than a narrow one: 0 of 48 gives [0, 0.074].
    """
    n = (~np.isnan(scores)).sum(axis=0)
    mean = mean_score(scores)
    binomial, variance = mean * (1 - mean), _variance(scores)
    too_alike = (variance < 1e-12) | (n * np.minimum(mean, 1 - mean) < 1) | (n < 2)
    # The design effect: the effective sample size per question.
    design = divided(binomial, np.where(too_alike, np.nan, variance))
    size = _nan_for_0(np.where(too_alike, n, np.maximum(n, n * design)))
    # Questions that are answered neither always correctly nor always wrongly.
    inside = np.minimum(scores, 1 - scores) > 0
    normal = NormalDist().inv_cdf((1 + level) / 2)
    student = student_quantile((1 + level) / 2, _df(scores))
    z = np.where(inside.any(axis=0) & ~too_alike, student, normal)
    centre, half = mean + z**2 / (2 * size), z * np.sqrt(binomial / size + (z / (2 * size)) ** 2)
    low, high = (centre - half) / (1 + z**2 / size), (centre + half) / (1 + z**2 / size)
    return ConfidenceInterval(
        mean,
        rounded(np.clip(low, 0, mean)),
        rounded(np.clip(high, mean, 1)),
    )


def paired_difference(
    one: Floats, other: Floats, level: float = LEVEL, at_least: float = 0.0
) -> ConfidenceInterval:
    """Mean of one - other over the questions that both were measured on, with Student's interval.

    at_least  the least number of standard errors on either side of the mean, for many comparisons at once

    Broadcasts over points: `paired_difference(scores[:, [best]], scores)`. Scores that agree on every
    question have the interval [0, 0]. A single question says nothing, so its interval is [-1, 1].
    """
    difference = one - other
    mean = mean_score(difference)
    half = _quantile((1 + level) / 2, difference, at_least) * standard_error(difference)
    low, high = (
        np.where(np.isnan(half), -1.0, mean - half),
        np.where(np.isnan(half), 1.0, mean + half),
    )
    return ConfidenceInterval(mean, rounded(low), rounded(high))


def paired_differences(
    one: Floats, others: Floats, chosen: NDArray[np.intp], at_least: float
) -> ConfidenceInterval:
    """`paired_difference` of one [questions] and each of the chosen others [questions, members]: [chosen].

    Some members are compared at a time, so that their scores fit the processor's cache.
    """
    parts = [
        paired_difference(
            one[:, None], others[:, chosen[at : at + MEMBERS_AT_ONCE]], at_least=at_least
        )
        for at in range(0, len(chosen), MEMBERS_AT_ONCE)
    ]
    ends = ([getattr(part, end) for part in parts] for end in ("mean", "low", "high"))
    return ConfidenceInterval(*(np.concatenate([np.zeros(0), *end]) for end in ends))


def _quantile(probability: float, difference: Floats, at_least: float) -> Floats:
    """Student's quantile for each point, and `at_least` where that is larger."""
    fewest = int((~np.isnan(difference)).sum(axis=0).min(initial=FEWEST_DF + 1))
    # Degrees of freedom are not looked at where even the fewest of them give less.
    most = student_quantile(probability, np.array(max(1.0, min(fewest - 1, FEWEST_DF))))
    if at_least >= most:
        return np.full(difference.shape[1:], at_least)
    return np.maximum(at_least, student_quantile(probability, _df(difference)))


def holm_level(excluded: Callable[[float], int], comparisons: int, level: float = LEVEL) -> float:
    """The level of single intervals that judges all comparisons together, by Holm's method.

    excluded  the number of comparisons whose intervals of a level exclude chance

    With probability `level` no comparison that is chance is among those that this level excludes.
    """
    left = comparisons
    while True:
        single = 1 - (1 - level) / max(1, left)
        still = comparisons - excluded(single)
        if still >= left:
            return single
        left = still


def bootstrap_weights(n_questions: int, draws: int, seed: int) -> Floats:
    """The share of each question in each of `draws` resamplings: [draws, n_questions]."""
    if n_questions < 1:
        raise ValueError("a bootstrap needs at least one question")
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n_questions, np.full(n_questions, 1 / n_questions), size=draws)
    return counts / n_questions


def random_halves(n_questions: int, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Whether each question lies in the first of two random halves: [count, n_questions].

    Of an odd number of questions the first half has the smaller part.
    """
    return rng.random((count, n_questions)).argsort(axis=1) < n_questions // 2


def bootstrap_means(scores: Floats, weights: Floats) -> Floats:
    """Mean score of each draw: [draws] from [questions], [draws, points] from [questions, points].

    The weight of questions that were not measured goes to those that were. A draw without any measured
    question keeps the plain mean.
    """
    measured = ~np.isnan(scores)
    sums = weights @ np.where(measured, scores, 0.0)
    if measured.all():
        return rounded(sums / weights.sum(axis=1).reshape(-1, *[1] * (sums.ndim - 1)))
    shares = weights @ measured.astype(np.float64)
    means = np.where(shares > 0, sums / np.where(shares > 0, shares, 1.0), mean_score(scores))
    return rounded(means)


def student_quantile(probability: float, df: Floats) -> Floats:
    """Student's quantile by its expansion around the normal one (Abramowitz and Stegun 26.7.5).

    The error is below 0.001 from four degrees of freedom on.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    series = [term / df**power for power, term in enumerate(terms, start=1)]
    return z + np.sum(series, axis=0)


def _df(scores: Floats) -> Floats:
    """Degrees of freedom of the variance estimate."""
    n = (~np.isnan(scores)).sum(axis=0)
    squares = (scores - mean_score(scores)) ** 2
    second, fourth = mean_measured(squares), mean_measured(squares**2)
    kurtosis = np.where(second > 1e-12, divided(fourth, second**2), 1.0)
    by_kurtosis = 2 * n / np.maximum(kurtosis - 1, 1e-9)
    return np.maximum(1, np.minimum(n - 1, np.maximum(by_kurtosis, FEWEST_DF)))


def _variance(scores: Floats) -> Floats:
    """Variance between questions; NaN below two of them."""
    n = (~np.isnan(scores)).sum(axis=0)
    return divided(mean_measured((scores - mean_score(scores)) ** 2) * n, n - 1)


def mean_measured(values: Floats, axis: int = 0) -> Floats:
    """Mean over an axis of the values that are not NaN; NaN if there is none."""
    measured = ~np.isnan(values)
    if values.size and measured.all():
        return np.asarray(values.sum(axis=axis) / values.shape[axis], dtype=np.float64)
    return divided(np.where(measured, values, 0.0).sum(axis=axis), measured.sum(axis=axis))


def divided(numerator: NDArray, denominator: NDArray) -> Floats:
    """The quotient, NaN where the denominator is 0."""
    return np.asarray(numerator / _nan_for_0(denominator), dtype=np.float64)


def _nan_for_0(values: NDArray) -> Floats:
    return np.where(np.equal(values, 0), np.nan, values).astype(np.float64)

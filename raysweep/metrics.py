"""How good a scenario is, estimated from one pool of samples per question. Pure: no I/O.

The one idea: n samples of a question serve every group size G <= n. "The majority vote of G fresh
samples" is estimated by the average over all G-subsets of the n, and that average is counted, not
drawn: pass@k in closed form (Chen et al. 2021, arXiv 2107.03374), maj@k by generating functions.
Uncertainty comes from the questions, which are what a benchmark samples: a bootstrap over them,
with one set of weights for all scenarios of a benchmark, so that every comparison is paired.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Means are rounded to this many decimals, because the order of a sum changes its last digits, and
# accuracies that are equal must stay equal: being better by 1e-17 would buy a place on a frontier.
DECIMALS = 12


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that a random k-subset of n samples, c of them correct, holds a correct one."""
    _check_subset(n, k)
    if not 0 <= c <= n:
        raise ValueError(f"pass@k: {c} correct of {n} samples is impossible")
    subsets = comb(n, k)
    return (subsets - comb(n - c, k)) / subsets


def maj_at_k(correct: int, wrong_counts: Sequence[int], absent: int, k: int) -> float:
    """Probability that the majority vote of a random k-subset of a question's samples is correct.

    correct       samples with the right answer, which are one class
    wrong_counts  samples of each distinct wrong answer
    absent        samples without an answer: they cast no vote, but take up room in the subset

    A tie among m answers goes to each with probability 1/m; a subset without a vote scores 0. Exact
    up to the one rounding to float, so equal probabilities are equal floats: maj@2 without absent
    answers *is* maj@1.
    """
    if min(correct, absent, *wrong_counts) < 0:
        raise ValueError(f"maj@k: negative count in {correct}, {tuple(wrong_counts)}, {absent}")
    return _maj_at_k(correct, tuple(sorted(w for w in wrong_counts if w)), absent, k)


@lru_cache(maxsize=1 << 16)
def _maj_at_k(correct: int, wrong: tuple[int, ...], absent: int, k: int) -> float:
    n = correct + sum(wrong) + absent
    _check_subset(n, k)
    wins = _wins_by_ties(correct, wrong, absent)
    won = sum(Fraction(_coefficient(poly, k, n), 1 + tied) for tied, poly in enumerate(wins))
    return float(won / comb(n, k))


@lru_cache(maxsize=1 << 14)
def _wins_by_ties(correct: int, wrong: tuple[int, ...], absent: int) -> tuple[int, ...]:
    """Entry t: a polynomial whose x^k coefficient counts the k-subsets in which no answer has more
    votes than the correct one and exactly t wrong answers have as many. It serves every k.

    A polynomial is held as its value at x = 2^n. Its coefficients count subsets of n samples, so
    they are below 2^n and are the digits of that value: arithmetic on integers is arithmetic on
    polynomials (Kronecker's substitution).
    """
    x = 1 << (correct + sum(wrong) + absent)
    wins = [0] * (len(wrong) + 1)
    for votes in range(1, correct + 1):
        rivals = [w for w in wrong if w >= votes]
        # An answer with fewer samples than `votes` cannot tie: its samples go in or out freely.
        free = absent + sum(w for w in wrong if w < votes)
        lead = comb(correct, votes) * x**votes * (1 + x) ** free
        for tied, poly in enumerate(_rivals_by_ties(rivals, votes, x)):
            wins[tied] += lead * poly
    return tuple(wins)


def _rivals_by_ties(rivals: Sequence[int], votes: int, x: int) -> list[int]:
    """Entry t: ways to take at most `votes` samples of each rival, exactly `votes` of t of them."""
    ways = [1]
    for samples in rivals:
        fewer = sum(comb(samples, i) * x**i for i in range(votes))
        equal = comb(samples, votes) * x**votes
        ways = [a * fewer + b * equal for a, b in zip([*ways, 0], [0, *ways], strict=True)]
    return ways


def _coefficient(poly: int, k: int, bits: int) -> int:
    return (poly >> (k * bits)) & ((1 << bits) - 1)


def _check_subset(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"group size {k} needs between 1 and all of the {n} samples")


def bootstrap_weights(n_questions: int, draws: int, seed: int) -> Floats:
    """`draws` resamplings of the questions, as the share of each: [draws, n_questions]."""
    if n_questions < 1:
        raise ValueError("cannot bootstrap over no questions")
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n_questions, np.full(n_questions, 1 / n_questions), size=draws)
    return counts / n_questions


def mean_score(per_question: Floats) -> float:
    """Mean over the questions that were measured, those that are not NaN."""
    return round(float(np.nanmean(per_question)), DECIMALS)


def bootstrap_means(per_question: Floats, weights: Floats) -> Floats:
    """Mean score of each draw: [draws] from [questions], [draws, points] from [questions, points].

    The questions that were measured (not NaN) share the weight of the others; a draw that holds
    none of them says nothing and keeps the plain mean.
    """
    measured = ~np.isnan(per_question)
    sums = weights @ np.where(measured, per_question, 0.0)
    shares = weights @ measured.astype(np.float64)
    plain = np.nanmean(per_question, axis=0)
    means = np.where(shares > 0, sums / np.where(shares > 0, shares, 1.0), plain)
    return np.round(means.astype(np.float64), DECIMALS)


def interval(per_question: Floats, weights: Floats, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the mean of one score per question, each in [0, 1].

    The percentile bootstrap over questions. Where that has nothing to resample it would claim a
    width of (nearly) zero: all scores equal, as when all questions are failed or all are solved, or
    less than one question's worth of success or of failure in total. There it is Wilson's score
    interval for the same mean and number of questions, which for scores inside [0, 1] errs on the
    wide side: 0 of 48 gives [0, 0.074].
    """
    scores = per_question[~np.isnan(per_question)]
    n, mean = len(scores), mean_score(scores)
    if n * min(mean, 1 - mean) < 1 or np.ptp(scores) == 0:
        return _wilson(mean, n, level)
    tail = (1 - level) / 2
    low, high = np.quantile(bootstrap_means(per_question, weights), [tail, 1 - tail])
    return float(low), float(high)


def _wilson(mean: float, n: int, level: float) -> tuple[float, float]:
    """Wilson (1927): the means that a normal test at this level would not reject."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = mean + z * z / (2 * n)
    half = z * sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return round((centre - half) / scale, DECIMALS), round((centre + half) / scale, DECIMALS)

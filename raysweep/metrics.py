"""How good a group of samples is, estimated from one pool of samples per question. Pure: no I/O.

The one idea: n samples of a question serve every group size G <= n. "The majority vote of G fresh
samples" is estimated by the average over all G-subsets of the n samples. That average is counted exactly
instead of drawn at random: pass@k in closed form (Chen et al. 2021, arXiv 2107.03374), maj@k by generating
functions, best-of-k by ranks. Many questions are counted at once, and a *cell* is the pool of samples of one
question.

Counts are floats. They are exact up to 2^53, which is enough for pools of 56 samples, and have about 14
correct digits beyond. Results are rounded to DECIMALS, so equal probabilities are equal numbers.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The order of a sum changes its last digits, but equal accuracies must stay equal. Otherwise a difference of
# 1e-17 would put a point on a frontier.
DECIMALS = 12
# C(1000, 500) is still a finite float.
MOST_SAMPLES = 1000
# The number of cells that are counted together, so that they fit the processor's cache.
CHUNK = 512


def rounded(values: ArrayLike) -> Floats:
    """Values rounded to DECIMALS, which makes sums equal that differ only in their order."""
    return np.round(np.asarray(values, dtype=np.float64), DECIMALS)


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> Floats:
    """Probability that a random k-subset of n samples, c of them correct, holds a correct one.

    n, c  [cells]; the result has their shape and is NaN if a cell has fewer than k samples

    >>> pass_at_k(n=[8, 8], c=[2, 0], k=4).tolist()
    [0.785714285714, 0.0]
    """
    n, c = np.asarray(n, dtype=np.int64), np.asarray(c, dtype=np.int64)
    _check_group(k)
    if np.any((c < 0) | (c > n)):
        raise ValueError("pass@k: a cell's number of correct samples is negative or above n")
    subsets = _choose(int(n.max(initial=0)), k)[:, k]
    enough = n >= k
    share = (subsets[n] - subsets[n - c]) / np.where(enough, subsets[n], 1.0)
    return np.where(enough, rounded(share), np.nan)


def maj_at_k(
    correct: ArrayLike, wrong: ArrayLike, absent: ArrayLike, group_sizes: Sequence[int]
) -> Floats:
    """Probability that the majority vote of a random k-subset of a cell's samples is correct.

    correct  [cells] number of samples with the correct answer
    wrong    [cells, classes] number of samples of each distinct wrong answer, in any order; 0 pads
    absent   [cells] number of samples without an answer, which cast no vote but count for the subset

    A tie among m answers goes to each with probability 1/m. A subset without a vote scores 0. The result is
    [group sizes, cells] and NaN if a cell has fewer samples than the group.

    In this example, of 8 samples 3 are correct, 2 share one wrong answer, 1 has another wrong answer, and 2
    have none. Votes help.

    >>> maj_at_k(correct=[3], wrong=[[2, 1]], absent=[2], group_sizes=[1, 4, 8]).tolist()
    [[0.375], [0.6], [1.0]]
    """
    correct, absent = np.asarray(correct, dtype=np.int64), np.asarray(absent, dtype=np.int64)
    wrong = -np.sort(-np.asarray(wrong, dtype=np.int64), axis=1)  # largest class first
    if min(correct.min(initial=0), wrong.min(initial=0), absent.min(initial=0)) < 0:
        raise ValueError("maj@k: a cell has a negative number of samples")
    for k in group_sizes:
        _check_group(k)
    cells = np.column_stack([correct, absent, wrong])
    distinct, cell_of = np.unique(cells, axis=0, return_inverse=True)
    chunks = np.array_split(distinct, -(-len(distinct) // CHUNK) or 1)
    counted = [_maj_of_chunk(chunk, tuple(group_sizes)) for chunk in chunks]
    return np.concatenate(counted, axis=1)[:, cell_of.reshape(-1)]


def best_of_k(scores: ArrayLike, correct: ArrayLike, k: int) -> float:
    """Probability that the best-scored sample of a random k-subset of one question is correct.

    scores   [samples] a verifier's score of each sample; higher is better
    correct  [samples] whether each sample is correct

    Samples that share the best score are chosen with equal probability. A score is the best of a subset if
    no sample of the subset scores higher and at least one has this score.

    >>> best_of_k(scores=[0.9, 0.4, 0.4, 0.1], correct=[True, False, True, False], k=2)
    0.75
    """
    _, level = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    if not 1 <= k <= len(level) or np.isnan(scores).any():
        raise ValueError(f"best-of-k: a group of {k} needs as many samples, each with a score")
    members = np.bincount(level)
    right = np.bincount(level, weights=np.asarray(correct, dtype=np.float64))
    subsets = _choose(len(level), k)[:, k]
    up_to = np.cumsum(members)
    chosen = (subsets[up_to] - subsets[up_to - members]) / subsets[len(level)]
    return round(float((chosen * right / members).sum()), DECIMALS)


def _check_group(k: int) -> None:
    if k < 1:
        raise ValueError(f"group size {k}: a group has at least one sample")


@lru_cache(maxsize=64)
def _choose(most: int, k: int) -> Floats:
    """Binomial coefficients C(n, i) for n up to `most` and i up to k: [most + 1, k + 1]."""
    if most > MOST_SAMPLES:
        raise ValueError(f"{most} samples of a question are more than the {MOST_SAMPLES} counted")
    table = np.zeros((most + 1, k + 1))
    table[:, 0] = 1
    for n in range(1, most + 1):
        table[n, 1:] = table[n - 1, 1:] + table[n - 1, :-1]
    return table


def _maj_of_chunk(cells: Ints, group_sizes: tuple[int, ...]) -> Floats:
    """maj@k of cells given as rows of (correct, absent, wrong classes): [group sizes, cells]."""
    correct, absent, wrong = cells[:, 0], cells[:, 1], cells[:, 2:]
    n = cells.sum(axis=1)
    sizes = np.array(group_sizes)
    choose = _choose(int(n.max(initial=0)), max(group_sizes))
    won = np.zeros((len(sizes), len(cells)))
    for votes in range(1, min(max(group_sizes), int(correct.max(initial=0))) + 1):
        able = np.flatnonzero(correct >= votes)
        won[:, able] += choose[correct[able], votes] * _subsets_led(
            votes, wrong[able], absent[able], group_sizes, choose
        )
    subsets = choose[n[None, :], sizes[:, None]]
    return np.where(subsets > 0, rounded(won / np.where(subsets > 0, subsets, 1)), np.nan)


def _subsets_led(
    votes: int, wrong: Ints, absent: Ints, group_sizes: tuple[int, ...], choose: Floats
) -> Floats:
    """Ways to fill a group with `votes` correct samples so that they win: [group sizes, cells].

    A way in which m wrong answers have the same number of votes counts 1/(m + 1).
    """
    rivals = _rivals(votes, wrong, max(group_sizes) - votes, choose)  # [cells, tied, picks]
    shared = (rivals / np.arange(1, rivals.shape[1] + 1)[:, None]).sum(axis=1)  # [cells, picks]
    # An answer with fewer samples than `votes` cannot tie, so any number of its samples may be chosen.
    free = choose[absent + np.where(wrong < votes, wrong, 0).sum(axis=1)]  # [cells, picks]
    led = np.zeros((len(group_sizes), len(wrong)))
    for index, k in enumerate(group_sizes):
        picks = k - votes
        if picks >= 0:
            led[index] = (shared[:, : picks + 1] * free[:, picks::-1][:, : picks + 1]).sum(axis=1)
    return led


def _rivals(votes: int, wrong: Ints, most_picks: int, choose: Floats) -> Floats:
    """Ways to take at most `votes` samples of each wrong answer that has at least `votes`.

    [cells, tied, picks]: `tied` answers have exactly `votes` samples taken, and `picks` are taken in all.
    """
    ways = np.zeros((len(wrong), most_picks // votes + 1, most_picks + 1))
    ways[:, 0, 0] = 1
    for size in wrong.T:  # largest first
        rival = np.flatnonzero(size >= votes)
        if rival.size == 0:
            break
        before = ways[rival]
        after = before.copy()  # none of this answer's samples
        of = choose[size[rival]][:, :, None, None]
        for taken in range(1, min(votes - 1, most_picks) + 1):
            after[:, :, taken:] += of[:, taken] * before[:, :, :-taken]
        if votes <= most_picks:
            after[:, 1:, votes:] += of[:, votes] * before[:, :-1, :-votes]
        ways[rival] = after
    return ways

"""How good a group of samples is, estimated from one pool of samples per question. Pure: no I/O.

The one idea: n samples of a question serve every group size G <= n. "The majority vote of G fresh
samples" is estimated by the average over all G-subsets of the n, and that average is counted, not
drawn: pass@k in closed form (Chen et al. 2021, arXiv 2107.03374), maj@k by generating functions,
best-of-k by ranks. Many questions are counted at once; a *cell* is one question's pool of samples.

Counts are floats: exact up to 2^53, i.e. for pools of up to 56 samples, and to some 14 digits beyond.
Results are rounded to DECIMALS, so that equal probabilities are equal numbers.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The order of a sum changes its last digits, and accuracies that are equal must stay equal: being
# better by 1e-17 would buy a place on a frontier.
DECIMALS = 12
MOST_SAMPLES = 1000  # C(1000, 500) is still a float
CHUNK = 512  # cells counted together: what fits the processor's cache


def rounded(values: ArrayLike) -> Floats:
    """Values to DECIMALS, so that what is equal but for the order of a sum is equal."""
    return np.round(np.asarray(values, dtype=np.float64), DECIMALS)


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> Floats:
    """Probability that a random k-subset of n samples, c of them correct, holds a correct one.

    n, c  [cells]; the answer has their shape, and is NaN where a cell has less than k samples.

    >>> pass_at_k(n=[8, 8], c=[2, 0], k=4).tolist()
    [0.785714285714, 0.0]
    """
    n, c = np.asarray(n, dtype=np.int64), np.asarray(c, dtype=np.int64)
    _check_group(k)
    if np.any((c < 0) | (c > n)):
        raise ValueError("pass@k: a cell has less than no, or more than all of its samples correct")
    subsets = _choose(int(n.max(initial=0)), k)[:, k]
    enough = n >= k
    share = (subsets[n] - subsets[n - c]) / np.where(enough, subsets[n], 1.0)
    return np.where(enough, rounded(share), np.nan)


def maj_at_k(
    correct: ArrayLike, wrong: ArrayLike, absent: ArrayLike, group_sizes: Sequence[int]
) -> Floats:
    """Probability that the majority vote of a random k-subset of a cell's samples is correct.

    correct  [cells] samples with the right answer, which are one class
    wrong    [cells, classes] samples of each distinct wrong answer, in any order, 0 for no class
    absent   [cells] samples without an answer: they cast no vote, but take up room in the subset

    A tie among m answers goes to each with probability 1/m; a subset without a vote scores 0. The
    answer is [group sizes, cells], NaN where a cell has less samples than the group.

    Of eight samples 3 are right, 2 say one wrong thing, 1 another, and 2 nothing: votes help.

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

    scores   [samples] of a verifier, higher is better
    correct  [samples] whether each is right

    Of samples that share the best score each is taken with the same probability. The best is of a
    given score if the subset lies among those up to it, but not among those below it.

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
    """Ways to fill a group around `votes` correct ones so that these win: [group sizes, cells].

    A way in which m wrong answers have as many votes counts 1/(m + 1).
    """
    rivals = _rivals(votes, wrong, max(group_sizes) - votes, choose)  # [cells, tied, picks]
    shared = (rivals / np.arange(1, rivals.shape[1] + 1)[:, None]).sum(axis=1)  # [cells, picks]
    # An answer with fewer samples than `votes` cannot tie: its samples go in or out freely.
    free = choose[absent + np.where(wrong < votes, wrong, 0).sum(axis=1)]  # [cells, picks]
    led = np.zeros((len(group_sizes), len(wrong)))
    for index, k in enumerate(group_sizes):
        picks = k - votes
        if picks >= 0:
            led[index] = (shared[:, : picks + 1] * free[:, picks::-1][:, : picks + 1]).sum(axis=1)
    return led


def _rivals(votes: int, wrong: Ints, most_picks: int, choose: Floats) -> Floats:
    """Ways to take at most `votes` samples of each wrong answer that has as many or more.

    [cells, tied, picks]: by how many of them have exactly `votes`, and by the samples taken in all.
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

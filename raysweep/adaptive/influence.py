"""How accurate the votes of a group are, and how much each sample contributes to that. Pure: no I/O.

The accuracy of a vote of G samples is a U-statistic: an average over all G-subsets of a question's n samples
(see `metrics`). Leaving out one sample at a time shows how much it contributes, and the sum of the squared
contributions is the jackknife's estimate of the variance (Efron and Stein 1981). Contributions of two engines
belong together sample by sample, so the variance of a difference follows from the difference of the
contributions.

The contributions are to the difference from what all N samples will show. The variance of that is at most
1 - n/N times the jackknife's: the part of a U-statistic's variance of order k shrinks by 1 - (n/N)^k, which
is at most k (1 - n/N), and the jackknife counts it k times.
"""

from collections.abc import Sequence

import numpy as np

from raysweep.adaptive.votes import NO_VOTE
from raysweep.metrics import Floats, Ints, maj_at_k
from raysweep.reducing.answer_counts import CORRECT

# What a sample was is told by the size of its class of wrong answers, or by one of these.
WAS_RIGHT, WAS_NO_VOTE = -1, 0


def accuracy_and_influence(
    choice: Ints, groups: Sequence[int], samples: int
) -> tuple[Floats, Floats]:
    """The accuracy of votes over all questions, and the contribution of each sample to it.

    choice   of the first n samples, none of them missing (`Votes`): [budgets, questions, n]
    groups   group sizes, below n
    samples  N, of which the n are the first

    Gives [budgets, groups] and [budgets, groups, questions, n]. The sum of the squared contributions is the
    variance of the difference from the accuracy of all N samples.
    """
    budgets, questions, n = choice.shape
    scores, without = _scores(choice.reshape(-1, n), groups)
    deviation = without.mean(axis=2, keepdims=True) - without
    scale = np.sqrt((n - 1) / n * (1 - n / samples)) / questions
    shape = (len(groups), budgets, questions)
    accuracy = scores.reshape(shape).mean(axis=2)
    influence = (scale * deviation).reshape(*shape, n)
    return accuracy.swapaxes(0, 1), influence.swapaxes(0, 1)


def _scores(choice: Ints, groups: Sequence[int]) -> tuple[Floats, Floats]:
    """maj@G of cells of n samples, and of each cell without each of its samples.

    choice  [cells, n]

    Gives [groups, cells] and [groups, cells, n].
    """
    cells, n = choice.shape
    right, absent = (choice == CORRECT).sum(axis=1), (choice == NO_VOTE).sum(axis=1)
    wrong = _class_sizes(choice)
    rows = np.arange(cells)[:, None]
    sizes = np.where(choice > 0, wrong[rows, np.maximum(choice - 1, 0)], WAS_NO_VOTE)
    was = np.where(choice == CORRECT, WAS_RIGHT, sizes)
    # Samples of a cell that were alike leave the same votes behind, so each kind is counted once.
    kinds, of = np.unique(rows * (n + 2) + was + 1, return_inverse=True)
    cell, kind = kinds // (n + 2), kinds % (n + 2) - 1
    fewer = wrong[cell]
    one = np.flatnonzero(kind > 0)
    fewer[one, (fewer[one] == kind[one, None]).argmax(axis=1)] -= 1
    left = maj_at_k(
        right[cell] - (kind == WAS_RIGHT), fewer, absent[cell] - (kind == WAS_NO_VOTE), groups
    )
    return maj_at_k(right, wrong, absent, groups), left[:, of.reshape(cells, n)]


def _class_sizes(choice: Ints) -> Ints:
    """The number of samples of each class of wrong answers: [cells, classes]."""
    cells, classes = len(choice), max(1, int(choice.max(initial=0)))
    at, sample = np.nonzero(choice > 0)
    counts = np.bincount(at * classes + choice[at, sample] - 1, minlength=cells * classes)
    return counts.reshape(cells, classes)

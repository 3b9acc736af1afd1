"""Choose on one half of the questions, judge on the other: differences that searching does not bias. Pure.

The best of many configurations looks better than it is on the questions that chose it. So the questions
are halved at random, again and again. In each halving, one half chooses a configuration for either side
of a pairing, and the two are compared on the other half. Then the halves are exchanged. A question's
difference is its mean over all halvings in which it judged. These differences are as many as there are
questions, whatever the number of configurations, so that means and contrasts of pairings are means and
contrasts of their columns.

A half chooses by the estimates of `shrinkage`, as the frontier is chosen. By measured accuracies, the side
with more configurations would lose more by choosing: its lead would come out points too small.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.uncertainty import divided, mean_measured, random_halves
from raysweep.metrics import Floats

# The seed is fixed, so that the same scores give the same differences.
HALVINGS, SEED = 64, 1

# Memories of a comparison lie this many to a doubling, before those that admit nothing new are dropped.
STEPS_PER_DOUBLING = 4


@dataclass(frozen=True, eq=False)
class Pairing:
    """Two sets of configurations that fit a memory, in bytes. The best of each stands for it."""

    memory_bytes: float
    one: Indices
    other: Indices


@dataclass(frozen=True, eq=False)
class Differences:
    """What pairings found. A column is a pairing, or a mean or a contrast of pairings.

    by_question  accuracy of the one less that of the other, NaN where never measured: [questions, columns]
    by_halving   the same over the questions of each halving and its exchange: [halvings, columns]
    """

    by_question: Floats
    by_halving: Floats

    def means(self, groups: Sequence[Sequence[int] | Indices]) -> "Differences":
        """A column for each group of columns: their mean."""
        return Differences(
            np.stack([mean_measured(self.by_question[:, list(own)], 1) for own in groups], axis=1),
            np.stack([mean_measured(self.by_halving[:, list(own)], 1) for own in groups], axis=1),
        )

    def less(self, one: int, other: int) -> "Differences":
        """Column `one` less column `other`, as a single column."""
        return Differences(
            self.by_question[:, [one]] - self.by_question[:, [other]],
            self.by_halving[:, [one]] - self.by_halving[:, [other]],
        )

    def beside(self, *others: "Differences") -> "Differences":
        """All columns beside each other."""
        every = (self, *others)
        return Differences(
            np.concatenate([each.by_question for each in every], axis=1),
            np.concatenate([each.by_halving for each in every], axis=1),
        )


def pairings(
    candidates: Candidates, batch_size: int, one: Indices, other: Indices
) -> list[Pairing]:
    """The pairings of two sides, at each memory of a fixed scale that admits something new to either side.

    The scale starts where both sides have a member that fits, and ends with the largest member. A side that
    has nothing more to buy keeps its best: votes, say, are what memory buys beyond the longest chain of
    thought. Scores do not shape the scale. A pairing's memory is that of its largest member.
    """
    if not (len(one) and len(other)):
        return []
    memory = candidates.memory_bytes(batch_size)
    # The first of equally good ones is chosen, which shall be that of least memory.
    one, other = (side[np.argsort(memory[side], kind="stable")] for side in (one, other))
    first = max(memory[one].min(), memory[other].min())
    both = np.sort(memory[np.concatenate([one, other])])
    doublings = np.log2(both[-1] / first)
    steps = np.arange(int(np.ceil(doublings * STEPS_PER_DOUBLING)) + 1)
    scale = first * 2.0 ** (steps / STEPS_PER_DOUBLING) * (1 + 1e-12)
    limits = np.unique(both[np.searchsorted(both, scale, side="right") - 1])
    return [
        Pairing(float(limit), one[memory[one] <= limit], other[memory[other] <= limit])
        for limit in limits
    ]


@dataclass(frozen=True, eq=False)
class Halvings:
    """Each row is one half of the questions, which chooses. The later half of the rows are the exchanges.

    estimate  of each configuration's accuracy from the choosing half, -inf if none of its questions was
              measured: [2 * halvings, members]
    judges    whether a question is in the other half: [2 * halvings, questions]
    """

    scores: Floats
    estimate: Floats
    judges: NDArray[np.bool_]

    @classmethod
    def of(cls, candidates: Candidates, seed: int = SEED, halvings: int = HALVINGS) -> "Halvings":
        half = random_halves(len(candidates.scores), halvings, np.random.default_rng(seed))
        chooses = np.concatenate([half, ~half])
        estimate = candidates.shrinkage.estimates(chooses.astype(np.float64))
        return cls(np.ascontiguousarray(candidates.scores.T), estimate, ~chooses)

    def differences(self, held: Sequence[Pairing]) -> Differences:
        """What the pairings find."""
        ones = np.stack([self._best(pairing.one) for pairing in held], axis=1)
        others = np.stack([self._best(pairing.other) for pairing in held], axis=1)
        sums = np.zeros((len(held), self.scores.shape[1]))
        numbers = np.zeros_like(sums)
        by_row = np.empty(ones.shape)
        for row, judges in enumerate(self.judges):
            found = self.scores[ones[row]] - self.scores[others[row]]
            counts = judges & ~np.isnan(found)
            found = np.where(counts, found, 0.0)
            sums += found
            numbers += counts
            by_row[row] = divided(found.sum(axis=1), counts.sum(axis=1))
        by_halving = mean_measured(by_row.reshape(2, -1, len(held)), 0)
        return Differences(divided(sums, numbers).T, by_halving)

    def _best(self, members: Indices) -> Indices:
        """The member that each row chooses; of equally good ones the first: [rows]."""
        return members[self.estimate[:, members].argmax(axis=1)]

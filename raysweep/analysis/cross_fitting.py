"""What is to be expected of the best within a memory, on questions that did not choose it. Pure: no I/O.

A configuration that was chosen for its accuracy is on average worse than it was measured, on new questions.
So the questions are halved: one half chooses the best within the memory, by the same rule as all of them
do, and the other half measures it, and then the other way round. Averaged over HALVINGS halvings,
each question has the mean score of what questions other than it have chosen, and the interval over
questions is that of any accuracy.

Two errors remain. Half of the questions choose a little worse than all, which makes the expectation too low.
And a half does not choose quite without the other: a refit of its surface starts at the fit to all
questions, and what is chance is known from all of them, which makes the expectation too high. In the worlds
of `benchmarks.selection` that follow the study's law the two cancel, and in those without differences the
second leaves 1.6 points at 30 questions. Surfaces that are fitted anew in each half would leave -0.6
in the former, and take seconds.

More memory allows more, so the truth along a frontier never falls. Where cross-fitted accuracies do, by
chance, neighbours share their mean (isotonic regression by pooling adjacent violators).
"""

from dataclasses import dataclass

import numpy as np

from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.uncertainty import (
    FEWEST_QUESTIONS,
    ConfidenceInterval,
    mean_score,
    random_halves,
    score_interval,
)
from raysweep.frontier import Bools
from raysweep.metrics import Floats

HALVINGS, SEED = 10, 1


@dataclass(frozen=True, eq=False)
class Expectation:
    """What is expected of the points of one frontier, least memory first.

    accuracy  with its interval, never falling: [points]
    scores    of each question, by what the others chose, whose means are the accuracies: [questions, points]
    """

    accuracy: ConfidenceInterval
    scores: Floats

    @property
    def gains(self) -> Bools:
        """Whether a point is expected to be better than the one of next less memory; the first one is."""
        return expected_to_gain(self.accuracy.mean)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """The halvings of a benchmark's questions, and what each half thinks of the candidates.

    half       True for the questions of the first half: [halvings, questions]
    estimates  by each first half, then by each second one: [2 * halvings, members]
    """

    candidates: Candidates
    half: Floats
    estimates: Floats

    @classmethod
    def of(cls, candidates: Candidates) -> "CrossFit":
        """Fewer than FEWEST_QUESTIONS questions are not halved: they choose and measure."""
        n = len(candidates.scores)
        if n < FEWEST_QUESTIONS:
            whole = np.ones((1, n))
            return cls(
                candidates, whole, candidates.shrinkage.estimates(np.concatenate([whole] * 2))
            )
        half = random_halves(n, HALVINGS, np.random.default_rng(SEED)).astype(np.float64)
        halves = np.concatenate([half, 1 - half])
        return cls(candidates, half, candidates.shrinkage.estimates(halves))

    def expected(self, memory: Floats, members: Indices, points: Indices) -> Expectation:
        """What is expected of the best among `members` within the memory of each of the `points`.

        memory  of each of `members`, in bytes
        points  places among `members`, in the order of memory
        """
        chosen = self._chosen(memory, members, memory[points])
        raw = self.candidates.scores
        rows = np.arange(len(raw))[:, None]
        halvings, halved = len(self.half), len(raw) >= FEWEST_QUESTIONS
        each = []
        for at, half in enumerate(self.half > 0):
            by_first, by_second = chosen[at], chosen[halvings + at]
            judged = np.where(half[:, None] & halved, by_second, by_first)
            each.append(raw[rows, judged])
        scores = mean_score(np.stack(each))
        # A choice that was never measured on the other half keeps its own scores.
        unmeasured = np.isnan(scores).all(axis=0)
        scores[:, unmeasured] = raw[:, members[points[unmeasured]]]
        rising = isotonic(scores)
        return Expectation(score_interval(rising), rising)

    def _chosen(self, memory: Floats, members: Indices, limits: Floats) -> Indices:
        """The best member within each limit, by each half: [2 * halvings, limits]."""
        order = np.argsort(memory, kind="stable")
        estimates = self.estimates[:, members[order]]
        best = np.maximum.accumulate(estimates, axis=1)
        leads = np.ones(estimates.shape, dtype=bool)
        leads[:, 1:] = estimates[:, 1:] > best[:, :-1]
        leader = np.maximum.accumulate(np.where(leads, np.arange(order.size), 0), axis=1)
        last = np.searchsorted(memory[order], limits, side="right") - 1
        return members[order[leader[:, last]]]


def expected_to_gain(expected: Floats) -> Bools:
    """Whether each of a frontier's points, least memory first, is expected to be better than the one before.

    Points that share a mean of the isotonic regression are not. The first one counts as better than nothing.
    """
    return np.append(True, np.diff(expected) > 0)[: len(expected)]


def isotonic(scores: Floats) -> Floats:
    """Isotonic regression: the scores with columns averaged wherever a later mean is lower.

    scores  [questions, points], like the result
    """
    means = mean_score(scores).tolist()
    blocks: list[tuple[float, int]] = []  # the mean of each block of columns, and their number
    for mean in means:
        value, size = mean, 1
        while blocks and blocks[-1][0] > value:
            before, count = blocks.pop()
            value, size = (before * count + value * size) / (count + size), count + size
        blocks.append((value, size))
    made, start = scores.copy(), 0
    for _, size in blocks:
        if size > 1:
            block = scores[:, start : start + size]
            made[:, start : start + size] = mean_score(block.T)[:, None]
        start += size
    return made

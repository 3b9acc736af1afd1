"""All recommendations at a batch size, from the least memory to the most. Pure: no I/O.

As memory grows, a recommendation changes at few places: the *steps* of the frontier. With M bytes the best
configuration is the last step that fits. So one ladder holds the answer to every memory, for `recommend`,
which is asked for one, and for the page, which has sliders.

A step is compared with all configurations that take less than the next step. These are all that fit while
the step is the best, and some that do not fit yet. Its critical value serves all of them, so it is
larger than the comparison with those that fit alone would need.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.cross_fitting import CrossFit, Expectation
from raysweep.analysis.told_apart import CentredDraws
from raysweep.analysis.uncertainty import (
    ConfidenceInterval,
    paired_difference,
    paired_differences,
)
from raysweep.frontier import frontier_points
from raysweep.metrics import Floats


@dataclass(frozen=True, eq=False)
class Ladder:
    """The recommendations at one batch size. Indices are places among `candidates`.

    memory          bytes of the whole batch: [candidates]
    members         those that may be recommended
    steps           the frontier of `members`, least memory first
    reach           the memory from which on a step is no longer the best: that of the next: [steps]
    expectation     what is expected of each step
    critical_value  of each step against all that it is compared with: [steps]
    """

    candidates: Candidates
    batch_size: int
    memory: Floats
    members: Indices
    steps: Indices
    reach: Floats
    expectation: Expectation
    critical_value: Floats

    def step_within(self, memory_bytes: float) -> int | None:
        """The step that is recommended for a memory; None if nothing fits."""
        fitting = int((self.memory[self.steps] <= memory_bytes).sum())
        return fitting - 1 if fitting else None

    def compared(self, step: int) -> Indices:
        """All that the step is compared with."""
        below = self.members[self.memory[self.members] < self.reach[step]]
        return below[below != self.steps[step]]

    def behind(self, step: int, others: Indices) -> ConfidenceInterval:
        """How much less accurate others were than the step's, with intervals that hold for all compared."""
        scores, best = self.candidates.scores, self.steps[step]
        return paired_differences(scores[:, best], scores, others, float(self.critical_value[step]))

    def not_told_apart(self, step: int) -> Indices:
        """Those compared that are not worse than the step's by more than chance."""
        others = self.compared(step)
        return others[self.behind(step, others).low <= 0]

    def gain(self, step: int) -> tuple[float, float, float]:
        """What the next step is expected to gain, with its interval.

        All three are 0 for steps that share a mean of the isotonic regression.
        """
        scores = self.expectation.scores
        gain = paired_difference(scores[:, step + 1], scores[:, step])
        return float(gain.mean), float(gain.low), float(gain.high)


def ladders(
    candidates: Candidates, batch_sizes: Sequence[int], members: Indices | None = None
) -> list[Ladder]:
    """The ladder of each batch size.

    members  those that may be recommended; all unless they are given
    """
    allowed = np.arange(len(candidates)) if members is None else members
    cross_fit, draws = CrossFit.of(candidates), CentredDraws.of(candidates.scores)
    return [_ladder(candidates, size, allowed, cross_fit, draws) for size in batch_sizes]


def _ladder(
    candidates: Candidates,
    batch_size: int,
    members: Indices,
    cross_fit: CrossFit,
    draws: CentredDraws,
) -> Ladder:
    memory = candidates.device_bytes(batch_size)
    own = memory[members]
    points = frontier_points(own, candidates.estimate[members])
    reach = np.append(own[points[1:]], np.inf)
    order = np.argsort(own, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    counts = np.searchsorted(own[order], reach, side="left")
    sorted_draws = draws.take(members[order])
    critical = [
        sorted_draws.critical_value(int(best), int(count))
        for best, count in zip(place[points], counts, strict=True)
    ]
    return Ladder(
        candidates,
        batch_size,
        memory,
        members,
        members[points],
        reach,
        cross_fit.expected(own, members, points),
        np.array(critical),
    )

"""Two runs that asked the same questions: how far the accuracy of each scenario differs. Pure: no I/O.

Differences are paired question by question. All scenarios of a benchmark are compared at once, by one
critical value of the largest |t| over all of them (max-t, as in `told_apart`). So in 95% of pairs of runs in
which no scenario of the benchmark differs, no interval excludes 0, whichever differences are then looked at.
"""

from dataclasses import dataclass

import numpy as np

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.told_apart import CentredDraws
from raysweep.analysis.uncertainty import paired_difference

# What names a scenario within a benchmark: engine id, token budget and group size.
Place = tuple[str, int, int]


@dataclass(frozen=True)
class Difference:
    """A scenario's accuracy in this run and in the other one, and this one's less the other's.

    low, high  bounds that hold at once for all scenarios of the benchmark that both runs have
    """

    place: Place
    here: float
    there: float
    mean: float
    low: float
    high: float

    @property
    def told_apart(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Differences:
    """A benchmark's scenarios in two runs.

    critical_value         standard errors by which a difference must exceed 0
    only_here, only_there  scenarios that may be compared within their own run, and that the other lacks
    """

    benchmark: str
    questions: int
    critical_value: float
    both: tuple[Difference, ...]
    only_here: tuple[Place, ...]
    only_there: tuple[Place, ...]

    @property
    def told_apart(self) -> int:
        return sum(one.told_apart for one in self.both)


def differences(benchmark: str, here: Candidates, there: Candidates) -> Differences:
    """What two runs of the same questions differ by. The questions have the same order in both."""
    ours, theirs = _places(here), _places(there)
    shared = [place for place in ours if place in theirs]
    one = here.scores[:, [ours[place] for place in shared]]
    other = there.scores[:, [theirs[place] for place in shared]]
    critical = _critical_value(one - other) if shared else 0.0
    found = paired_difference(one, other, at_least=critical)
    columns = (here.accuracy[[ours[place] for place in shared]], found.mean, found.low, found.high)
    before = there.accuracy[[theirs[place] for place in shared]]
    both = tuple(
        Difference(place, float(now), float(then), float(mean), float(low), float(high))
        for place, now, then, mean, low, high in zip(
            shared, columns[0], before, *columns[1:], strict=True
        )
    )
    return Differences(
        benchmark,
        len(here.scores),
        critical,
        both,
        tuple(place for place in ours if place not in theirs),
        tuple(place for place in theirs if place not in ours),
    )


def _places(candidates: Candidates) -> dict[Place, int]:
    return {
        (chosen.engine_id, chosen.token_budget, chosen.group_size): index
        for index, chosen in enumerate(candidates.configurations)
    }


def _critical_value(gaps: np.ndarray) -> float:
    """Of the largest |t| over all columns: each is compared with a column of zeros."""
    count = gaps.shape[1]
    beside = np.column_stack([gaps, np.zeros(len(gaps))])
    return CentredDraws.of(beside).critical_value(best=count, count=count)


@dataclass(frozen=True)
class FrontierPoint:
    """A point of a frontier: bytes for a question of a batch, and the accuracy that new questions promise."""

    place: Place
    memory_bytes: float
    expected: float


@dataclass(frozen=True)
class Movement:
    """What became of a place on the frontier; `here` or `there` is None where it is not on that run's."""

    place: Place
    here: FrontierPoint | None
    there: FrontierPoint | None

    @property
    def kind(self) -> str:
        if self.there is None:
            return "entered"
        if self.here is None:
            return "left"
        return "same" if self.here == self.there else "moved"


def movements(
    here: tuple[FrontierPoint, ...], there: tuple[FrontierPoint, ...]
) -> tuple[Movement, ...]:
    """The places of two frontiers at the same batch size, least memory first."""
    ours, theirs = ({point.place: point for point in points} for points in (here, there))
    found = [Movement(p, ours.get(p), theirs.get(p)) for p in dict.fromkeys((*ours, *theirs))]
    return tuple(sorted(found, key=_least_memory))


def _least_memory(one: Movement) -> float:
    return min(point.memory_bytes for point in (one.here, one.there) if point)

"""What `recommend` answers at every memory: the numbers behind the page's sliders.

As the memory grows, a recommendation changes at few places, the steps of a `Ladder`, so all of them fit on a
page. `recommend` reads one step of such a ladder, and this all steps. The page itself computes which of the
alternatives fit.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.ladder import Ladder, ladders


@dataclass(frozen=True)
class Step:
    """A point of the frontier, and what is said of it while it is the best.

    best                its place among the candidates that were given
    expected            its accuracy on new questions, with its interval
    gain                what the next step is expected to gain, with its interval; 0 for the last step and
                        where nothing is
    compared            how many others it was compared with
    indistinguishable   a bit per member of `Advice.comparable`: whether the two are statistically
                        indistinguishable (base64, highest bit first, without what comes after the last 1)
    """

    best: int
    expected: tuple[float, float, float]
    gain: tuple[float, float, float]
    compared: int
    indistinguishable: str


@dataclass(frozen=True)
class Advice:
    """All recommendations of a benchmark. Indices are places among the candidates that were given.

    comparable  those that may be recommended
    steps       of each batch size, least memory first
    """

    comparable: tuple[int, ...]
    steps: dict[int, tuple[Step, ...]]


def advise(candidates: Candidates, batch_sizes: Sequence[int]) -> Advice:
    """Everything that `recommend.recommend` answers for these, without a limit on tokens."""
    able = candidates.may_be_compared
    found = ladders(candidates.comparable, batch_sizes)
    return Advice(tuple(able.tolist()), {one.batch_size: _steps(one, able) for one in found})


def _steps(ladder: Ladder, able: Indices) -> tuple[Step, ...]:
    expected = ladder.expectation.accuracy
    last = len(ladder.steps) - 1
    return tuple(
        Step(
            best=int(able[best]),
            expected=(
                float(expected.mean[at]),
                float(expected.low[at]),
                float(expected.high[at]),
            ),
            gain=ladder.gain(at) if at < last else (0.0, 0.0, 0.0),
            compared=len(ladder.compared(at)),
            indistinguishable=_packed(ladder.not_told_apart(at), len(able)),
        )
        for at, best in enumerate(ladder.steps.tolist())
    )


def _packed(chosen: Indices, size: int) -> str:
    close = np.zeros(size, dtype=bool)
    close[chosen] = True
    return base64.b64encode(np.packbits(close).tobytes().rstrip(b"\0")).decode()

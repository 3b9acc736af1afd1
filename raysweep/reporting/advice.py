"""What `recommend` answers at every memory: the numbers behind the page's sliders.

As the memory grows a recommendation changes at few places, so all of them fit a page. The best
configuration is the last point of the frontier that fits, and the next points are what less and more
would give. The optimism of the best changes only where the winner of some bootstrap draw does, which
one pass over the configurations by memory finds. What cannot be told from a configuration depends on
that one alone; whether it fits is arithmetic, and left to the page.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.recommend import DRAWS, SEED, comparable
from raysweep.analysis.uncertainty import bootstrap_means, bootstrap_weights, paired_difference
from raysweep.frontier import pareto
from raysweep.metrics import Floats

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Step:
    """A point of the frontier, as an index, and how far it is behind the next one, with its interval."""

    best: int
    behind_lo: float  # both 0 for the last
    behind_hi: float


@dataclass(frozen=True)
class AtBatch:
    """Recommendations at one batch size. Memory is of the whole batch.

    steps     the frontier, least memory first
    optimism  (memory in bytes, value from there on), least memory first
    """

    batch_size: int
    steps: tuple[Step, ...]
    optimism: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Advice:
    """All recommendations of a benchmark. Indices are of the candidates that were given.

    comparable      those that may be recommended
    not_told_apart  for each that ever is, a bit for each of `comparable` (base64, first bit highest):
                    whether it cannot be told from it
    """

    comparable: tuple[int, ...]
    not_told_apart: dict[int, str]
    at_batch: tuple[AtBatch, ...]


def advise(candidates: Candidates, batch_sizes: Sequence[int]) -> Advice:
    """Everything that `recommend.recommend` says of these, without a limit on tokens."""
    able = comparable(candidates)
    own = candidates.take(able)
    weights = bootstrap_weights(len(own.scores), DRAWS, SEED)
    draws = np.ascontiguousarray(bootstrap_means(own.scores, weights).T)
    truth = bootstrap_means(own.scores, np.ones((1, len(own.scores))))[0]
    found = []
    for batch_size in batch_sizes:
        memory = own.memory_bytes(batch_size) * batch_size
        changes = tuple(_optimism(memory, draws, truth))
        found.append(AtBatch(batch_size, _steps(own, memory, able), changes))
    ever_best = sorted({step.best for batch in found for step in batch.steps})
    apart = {best: _not_told_apart(own, int(np.searchsorted(able, best))) for best in ever_best}
    return Advice(tuple(able.tolist()), apart, tuple(found))


def _steps(own: Candidates, memory: Floats, able: Indices) -> tuple[Step, ...]:
    points = np.flatnonzero(pareto(memory, own.accuracy))
    points = points[np.argsort(memory[points], kind="stable")]
    behind = paired_difference(own.scores[:, points[1:]], own.scores[:, points[:-1]])
    bounds = [*zip(behind.low.tolist(), behind.high.tolist(), strict=True), (0.0, 0.0)]
    return tuple(Step(int(able[p]), *pair) for p, pair in zip(points, bounds, strict=True))


def _optimism(memory: Floats, draws: Floats, truth: Floats) -> list[tuple[float, float]]:
    """Where the mean lead of each draw's winner over its true accuracy changes, and to what.

    draws  [points, draws], truth  [points]
    """
    winner = np.zeros(draws.shape[1], dtype=np.intp)
    lead = np.full(draws.shape[1], -np.inf)
    order = np.argsort(memory, kind="stable")
    changes: dict[float, float] = {}
    for point in order.tolist():
        wins = (draws[point] > lead) | ((draws[point] == lead) & (point < winner))
        if wins.any():
            winner[wins], lead[wins] = point, draws[point][wins]
            changes[float(memory[point])] = float(np.mean(lead - truth[winner]))
    return list(changes.items())


def _not_told_apart(own: Candidates, best: int) -> str:
    behind = paired_difference(own.scores[:, [best]], own.scores)
    close = behind.low <= 0
    close[best] = False
    return base64.b64encode(np.packbits(close).tobytes()).decode()

"""What `recommend` answers at every memory: the numbers behind the page's sliders.

As the memory grows, a recommendation changes at few places, so all of them fit on a page. The best
configuration is the last point of the frontier that fits, and its neighbours are what less and more
memory would give. The optimism changes only where the winner of some bootstrap draw does, and one pass
over the configurations by memory finds these places. Which configurations are statistically
indistinguishable from the best depends on the best alone. The page itself computes which of them fit.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.recommend import DRAWS, SEED, comparable
from raysweep.analysis.uncertainty import bootstrap_means, bootstrap_weights, paired_difference
from raysweep.metrics import Floats


@dataclass(frozen=True)
class FrontierStep:
    """A point of the frontier, as an index, and the interval of how far it is behind the next point.

    Both bounds are 0 for the last point.
    """

    best: int
    behind_lo: float
    behind_hi: float


@dataclass(frozen=True)
class AtBatch:
    """Recommendations at one batch size. Memory is of the whole batch.

    steps     the frontier, least memory first
    optimism  pairs of a memory in bytes and the optimism from there on, least memory first
    """

    batch_size: int
    steps: tuple[FrontierStep, ...]
    optimism: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Advice:
    """All recommendations of a benchmark. Indices are places among the candidates that were given.

    comparable         those that may be recommended
    indistinguishable  for each one that is recommended somewhere, a bit per member of `comparable` that
                       says whether the two are statistically indistinguishable (base64, highest bit
                       first)
    """

    comparable: tuple[int, ...]
    indistinguishable: dict[int, str]
    at_batch: tuple[AtBatch, ...]


def advise(candidates: Candidates, batch_sizes: Sequence[int]) -> Advice:
    """Everything that `recommend.recommend` answers for these, without a limit on tokens."""
    able = comparable(candidates)
    own = candidates.take(able)
    weights = bootstrap_weights(len(own.scores), DRAWS, SEED)
    draws = np.ascontiguousarray(bootstrap_means(own.scores, weights).T)
    truth = bootstrap_means(own.scores, np.ones((1, len(own.scores))))[0]
    found = []
    for batch_size in batch_sizes:
        changes = tuple(_optimism(own.device_bytes(batch_size), draws, truth))
        found.append(AtBatch(batch_size, _steps(own, batch_size, able), changes))
    ever_best = sorted({step.best for batch in found for step in batch.steps})
    close = {best: _indistinguishable(own, int(np.searchsorted(able, best))) for best in ever_best}
    return Advice(tuple(able.tolist()), close, tuple(found))


def _steps(own: Candidates, batch_size: int, able: Indices) -> tuple[FrontierStep, ...]:
    points = own.frontier(batch_size)
    behind = paired_difference(own.scores[:, points[1:]], own.scores[:, points[:-1]])
    bounds = [*zip(behind.low.tolist(), behind.high.tolist(), strict=True), (0.0, 0.0)]
    return tuple(FrontierStep(int(able[p]), *pair) for p, pair in zip(points, bounds, strict=True))


def _optimism(memory: Floats, draws: Floats, truth: Floats) -> list[tuple[float, float]]:
    """Where the mean lead of the draws' winners over their true accuracies changes, and its new value.

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


def _indistinguishable(own: Candidates, best: int) -> str:
    behind = paired_difference(own.scores[:, [best]], own.scores)
    close = behind.low <= 0
    close[best] = False
    return base64.b64encode(np.packbits(close).tobytes()).decode()

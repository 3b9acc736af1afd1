"""Which scenarios are worth their memory: the Pareto frontier of memory against accuracy. Pure.

The one idea: sorted by memory, a point is on the frontier if it beats everything cheaper and is the
best at its own price. Running maxima say so for all points at once, and for all bootstrap draws at
once, because a draw of the questions moves accuracies but never memory.
"""

from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@overload
def amortised_bytes(weights_bytes: float, kv_bytes: float, batch_size: int) -> float: ...
@overload
def amortised_bytes(weights_bytes: Floats, kv_bytes: Floats, batch_size: int) -> Floats: ...
def amortised_bytes(
    weights_bytes: Floats | float, kv_bytes: Floats | float, batch_size: int
) -> Floats | float:
    """Memory of one question of a batch, which shares the weights; each has its own KV cache."""
    return weights_bytes / batch_size + kv_bytes


def pareto(memory: ArrayLike, accuracy: ArrayLike) -> Bools:
    """True where no other point has memory <= and accuracy >= with one of the two strict.

    memory    [points], bytes
    accuracy  [points], or [draws, points] for one frontier a draw; the answer has its shape

    Of points equal in both, the first alone counts. O(n log n).
    """
    memory, accuracy = np.asarray(memory), np.asarray(accuracy, dtype=np.float64)
    if memory.size == 0:
        return np.zeros(accuracy.shape, dtype=np.bool_)
    order = np.argsort(memory, kind="stable")
    starts, price_of = _runs(memory[order])
    by_price = accuracy[..., order]  # [..., points]
    best = np.maximum.reduceat(by_price, starts, axis=-1)  # [..., prices]
    best_cheaper = np.full_like(best, -np.inf)
    best_cheaper[..., 1:] = np.maximum.accumulate(best, axis=-1)[..., :-1]
    wins = (by_price == best[..., price_of]) & (best > best_cheaper)[..., price_of]
    on_frontier = np.empty_like(wins)
    on_frontier[..., order] = _first_of_run(wins, starts, price_of)
    return on_frontier


def p_on_frontier(memory: ArrayLike, accuracy_draws: Floats) -> Floats:
    """Share of the draws ([draws, points]) in which each point is on the frontier."""
    return pareto(memory, accuracy_draws).mean(axis=0)


def _runs(ordered: NDArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each distinct value of a sorted array begins, and the run that each element is in."""
    changes = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    return np.flatnonzero(changes), np.cumsum(changes) - 1


def _first_of_run(marked: Bools, starts: NDArray[np.intp], run_of: NDArray[np.intp]) -> Bools:
    """The first marked element of every run."""
    seen = np.cumsum(marked, axis=-1)  # [..., points], counting the element itself
    seen_before_run = (seen - marked)[..., starts]
    return marked & (seen - seen_before_run[..., run_of] == 1)

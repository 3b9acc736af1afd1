"""Which scenarios are worth their memory: the Pareto frontier of memory against accuracy. Pure.

The one idea: with points sorted by memory, a point is on the frontier if it beats every point before it and
is the best at its own memory. Running maxima decide this for all points and all bootstrap draws at once,
because a draw of questions changes accuracies but never memory. Memory may be any other cost.
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
    """Memory per question of a batch. Its questions share the weights, and each has its own KV cache.

    >>> amortised_bytes(weights_bytes=16e9, kv_bytes=4e9, batch_size=8)
    6000000000.0
    """
    return weights_bytes / batch_size + kv_bytes


def largest_batch(
    memory_bytes: float, weights_bytes: Floats, kv_bytes: Floats
) -> NDArray[np.int64]:
    """The study's theoretical batch size: how many questions fit at once beside the weights.

    >>> largest_batch(80e9, weights_bytes=np.array([16e9, 96e9]), kv_bytes=np.array([4e9, 1e9])).tolist()
    [16, 0]
    """
    return np.floor(np.maximum(0, memory_bytes - weights_bytes) / kv_bytes).astype(np.int64)


def pareto(memory: ArrayLike, accuracy: ArrayLike) -> Bools:
    """True for each point that no other point dominates.

    One point dominates another if it has at most its memory and at least its accuracy, and is better in one.

    memory    [points], bytes
    accuracy  [points], or [draws, points] for one frontier per draw; the result has its shape

    Of points that are equal in both, only the first is on the frontier. O(n log n).

    >>> pareto(memory=[1e9, 2e9, 3e9, 4e9], accuracy=[0.3, 0.5, 0.4, 0.5]).tolist()
    [True, True, False, False]
    """
    memory, accuracy = np.asarray(memory), np.asarray(accuracy, dtype=np.float64)
    return _wins(memory, accuracy, np.arange(memory.size), ties=False)


def frontier_points(memory: ArrayLike, accuracy: ArrayLike) -> NDArray[np.intp]:
    """Indices of the points on the frontier, least memory first: [points].

    >>> frontier_points(memory=[4e9, 2e9, 1e9, 3e9], accuracy=[0.5, 0.5, 0.3, 0.4]).tolist()
    [2, 1]
    """
    points = np.flatnonzero(pareto(memory, accuracy))
    return points[np.argsort(np.asarray(memory)[points], kind="stable")]


def best_within(memory: ArrayLike, accuracy: ArrayLike, limit: float) -> int | None:
    """Index of the most accurate point that takes at most `limit`; None if no point does.

    Of equally accurate points the one of least memory is best, then the first.

    >>> best_within(memory=[1e9, 3e9, 2e9, 4e9], accuracy=[0.3, 0.5, 0.5, 0.9], limit=3e9)
    2
    """
    memory, accuracy = np.asarray(memory), np.asarray(accuracy)
    fits = np.flatnonzero(memory <= limit)
    if fits.size == 0:
        return None
    return int(fits[np.lexsort((memory[fits], -accuracy[fits]))[0]])


def p_on_frontier(memory: ArrayLike, accuracy_draws: Floats, points: ArrayLike) -> Floats:
    """For each of the chosen `points`, the share of draws in which no other point dominates it: [points].

    memory          [all points], bytes
    accuracy_draws  [draws, all points]

    Points of the same memory that have the same accuracy in a draw all stay in this draw.

    >>> draws = np.array([[0.3, 0.5], [0.6, 0.5]])
    >>> p_on_frontier(memory=[1e9, 2e9], accuracy_draws=draws, points=[0, 1]).tolist()
    [1.0, 0.5]
    """
    return _wins(np.asarray(memory), accuracy_draws, np.asarray(points), ties=True).mean(axis=0)


def _wins(memory: NDArray, accuracy: Floats, points: NDArray, *, ties: bool) -> Bools:
    """Whether each of the chosen points is on the frontier of all points: [..., points].

    ties  whether all points that are equal in memory and accuracy stay, or only the first of them
    """
    if memory.size == 0 or points.size == 0:
        return np.zeros((*accuracy.shape[:-1], points.size), dtype=np.bool_)
    order = np.argsort(memory, kind="stable")
    best = np.maximum.accumulate(accuracy[..., order], axis=-1)
    ordered, wanted = memory[order], memory[points]
    # The last position in the order that has the same memory.
    last = np.searchsorted(ordered, wanted, side="right") - 1
    # The number of points that a chosen one must beat: those of less memory, or all earlier ones.
    if ties:
        rivals = np.searchsorted(ordered, wanted, side="left")
    else:
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        rivals = place[points]
    own = accuracy[..., points]
    before = np.where(rivals > 0, best[..., np.maximum(rivals - 1, 0)], -np.inf)
    return (own > before) & (own == best[..., last])

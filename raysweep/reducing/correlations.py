"""What pairing by common random numbers is worth: how far the luck of two engines agrees. Pure: no I/O.

A sample's randomness follows from the run's seed, the question and the sample's number, and not from the
engine. So two engines that differ little are right and wrong at the same samples. With a correlation r a
difference of the two needs about 1 / (1 - r) times fewer samples than one of independent samples.

Only engines that differ in one choice alone are paired: their KV policy, their precision or their model.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import sqrt
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raysweep.reducing.partitions import Reduced
from raysweep.run_config import Sweep
from raysweep.storage.comparison_schemas import CORRELATIONS

CHOICES = ("kv_policy", "precision", "model")


def correlation_table(reduced: Sequence[Reduced], sweep: Sweep) -> pa.Table:
    """correlations.parquet."""
    rows = [
        {"differ_in": choice, **row}
        for choice, one, other in _pairs(reduced)
        for row in _rows(one, other, sweep.token_budgets)
    ]
    rows.sort(key=lambda row: (row["benchmark"], row["engine_id"], row["other_id"]))
    return pa.Table.from_pylist(rows, schema=CORRELATIONS)


def _pairs(reduced: Sequence[Reduced]) -> Iterator[tuple[str, Reduced, Reduced]]:
    """The pairs of engines on a benchmark that differ in one choice alone, each with that choice."""
    engines = [one for one in reduced if not one.engine.control]
    for choice in CHOICES:
        groups: dict[tuple, list[Reduced]] = defaultdict(list)
        for one in engines:
            groups[_besides(choice, one)].append(one)
        for members in groups.values():
            yield from ((choice, *pair) for pair in combinations(members, 2))


def _besides(choice: str, one: Reduced) -> tuple:
    """The benchmark and the engine's choices besides one."""
    engine = one.engine
    values = dict(
        zip(CHOICES, (engine.kv_policy.slug, engine.weights, engine.model.name), strict=True)
    )
    return one.benchmark, *(value for name, value in values.items() if name != choice)


def _rows(one: Reduced, other: Reduced, token_budgets: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A row at the largest budget at which both have the same samples; none without any."""
    count = min(one.right.shape[2], other.right.shape[2])
    for at in reversed(range(len(token_budgets))):
        a, b = (right[at, :, :count] for right in (one.right, other.right))
        both = (a >= 0) & (b >= 0)
        if both.any():
            yield {
                "benchmark": one.benchmark,
                "engine_id": one.engine.engine_id,
                "other_id": other.engine.engine_id,
                "token_budget": token_budgets[at],
                "n_pairs": int(both.sum()),
                "correlation": correlation(a, b, both),
            }
            return


def correlation(a: NDArray[np.int8], b: NDArray[np.int8], both: NDArray[np.bool_]) -> float | None:
    """The correlation of two 0/1 variables within the questions: [questions, samples] each.

    Only samples in `both` count. None where one of the two does not vary within any question.
    """
    samples = np.maximum(both.sum(axis=1, keepdims=True), 1)

    def beyond_mean(values: NDArray[np.int8]) -> NDArray[np.float64]:
        own = np.where(both, values, 0)
        return np.where(both, own - own.sum(axis=1, keepdims=True) / samples, 0.0)

    one, other = beyond_mean(a), beyond_mean(b)
    scale = sqrt(float((one**2).sum()) * float((other**2).sum()))
    return float((one * other).sum()) / scale if scale > 0 else None

"""The frontiers of a run: of all scenarios of a benchmark, and of those that share a choice. Pure.

The one idea: what a frontier says depends on who competes. Among all scenarios, it says how to spend a
memory. Among the scenarios of one model, precision or KV policy, or among those without votes (serial) or
with votes (parallel), it says how far that choice goes by itself.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.configurations import Configuration
from raysweep.analysis.cross_fitting import CrossFit
from raysweep.analysis.uncertainty import ConfidenceInterval
from raysweep.frontier import frontier_points, p_on_frontier
from raysweep.metrics import Floats
from raysweep.storage.schemas import FRONTIER, FRONTIERS

# Draws of the bootstrap that are computed together, which bounds the memory that they take.
DRAWS_AT_ONCE = 100

AXES: dict[str, Callable[[Configuration], str]] = {
    "model": lambda chosen: chosen.model,
    "precision": lambda chosen: chosen.precision,
    "kv_policy": lambda chosen: chosen.kv_policy,
    "votes": lambda chosen: "parallel" if chosen.votes else "serial",
}


@dataclass(frozen=True, eq=False)
class Frontier:
    """The frontier at a batch size among all candidates, or among those that share a choice.

    axis     "" for all candidates; otherwise those whose `axis` has this `value`
    members  indices of the candidates that compete
    points   indices within `members` of those on the frontier, least memory first
    """

    axis: str
    value: str
    batch_size: int
    members: Indices
    memory_bytes: Floats
    points: Indices


def frontier_tables(
    benchmarks: Mapping[str, Candidates],
    batch_sizes: Sequence[int],
    weights: Mapping[str, Floats],
) -> tuple[pa.Table, pa.Table]:
    """frontier.parquet and frontiers.parquet, ordered by memory within each frontier.

    benchmarks  the `comparable` candidates of each
    weights     bootstrap weights of each benchmark's questions
    """
    rows = [
        row
        for benchmark, candidates in benchmarks.items()
        for row in frontier_rows(candidates, batch_sizes, weights[benchmark])
    ]
    order = ("axis", "benchmark", "batch_size", "value", "memory_bytes")
    rows.sort(key=lambda row: tuple(row[name] for name in order))
    of_all = [row for row in rows if not row["axis"]]
    of_some = [row for row in rows if row["axis"]]
    return (
        pa.Table.from_pylist(of_all, schema=FRONTIER),
        pa.Table.from_pylist(of_some, schema=FRONTIERS),
    )


def frontier_rows(
    candidates: Candidates, batch_sizes: Sequence[int], weights: Floats
) -> Iterator[dict]:
    """Every point of every frontier, with the share of bootstrap draws in which it stays there.

    candidates  `comparable` ones

    A draw is judged as the frontier was: by estimates from all candidates, on the questions of this draw.
    """
    found, cross_fit = list(frontiers(candidates, batch_sizes)), CrossFit.of(candidates)
    stays = [np.zeros(len(frontier.points)) for frontier in found]
    for start in range(0, len(weights), DRAWS_AT_ONCE):
        draws = candidates.shrinkage.estimates(weights[start : start + DRAWS_AT_ONCE])
        for frontier, stay in zip(found, stays, strict=True):
            own = draws[:, frontier.members] if frontier.axis else draws
            stay += p_on_frontier(frontier.memory_bytes, own, frontier.points) * len(draws)
    for frontier, stay in zip(found, stays, strict=True):
        expected = cross_fit.expected(frontier.memory_bytes, frontier.members, frontier.points)
        yield from _rows(candidates, frontier, expected.accuracy, stay / len(weights))


def frontiers(candidates: Candidates, batch_sizes: Sequence[int]) -> Iterator[Frontier]:
    """All frontiers. An axis with a single value adds nothing and is left out."""
    groups = {("", ""): np.arange(len(candidates))}
    for axis, value_of in AXES.items():
        found: dict[str, list[int]] = defaultdict(list)
        for index, chosen in enumerate(candidates.configurations):
            found[value_of(chosen)].append(index)
        if len(found) > 1:
            groups |= {(axis, value): np.array(those) for value, those in found.items()}
    for batch_size in batch_sizes:
        memory_bytes = candidates.memory_bytes(batch_size)
        for (axis, value), members in groups.items():
            own = memory_bytes[members]
            points = frontier_points(own, candidates.estimate[members])
            yield Frontier(axis, value, batch_size, members, own, points)


def _rows(
    candidates: Candidates, frontier: Frontier, expected: ConfidenceInterval, stays: Floats
) -> Iterator[dict]:
    for at, point in enumerate(frontier.points.tolist()):
        member = int(frontier.members[point])
        columns = candidates.members[member].columns()
        yield {
            **{name: columns[name] for name in FRONTIER.names if name in columns},
            "axis": frontier.axis,
            "value": frontier.value,
            "batch_size": frontier.batch_size,
            "memory_bytes": float(frontier.memory_bytes[point]),
            "estimate": float(candidates.estimate[member]),
            "expected": float(expected.mean[at]),
            "expected_lo": float(expected.low[at]),
            "expected_hi": float(expected.high[at]),
            "p_on_frontier": round(float(stays[at]), 12),
        }

"""The frontiers of a run: of all scenarios of a benchmark, and of those that share a choice. Pure.

The one idea: a frontier is a contest, and who takes part decides what it tells. Among all, it is what to
do with a memory; among the scenarios of one model, precision or KV policy, or among those without
votes (serial) or with them (parallel), what that choice can do by itself.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raysweep.analysis.candidates import Candidates, Row
from raysweep.analysis.uncertainty import bootstrap_means
from raysweep.frontier import p_on_frontier, pareto
from raysweep.metrics import Floats
from raysweep.spec import WeightSpec
from raysweep.storage.schemas import FRONTIER, FRONTIERS

DRAWS_AT_ONCE = 100  # of the bootstrap: bounds the memory that they take

AXES: dict[str, Callable[[Row], str]] = {
    "model": lambda row: row["model"],
    "precision": lambda row: WeightSpec(row["weight_method"], row["weight_bits"]).precision,
    "kv_policy": lambda row: row["kv_policy"],
    "votes": lambda row: "serial" if row["group_size"] == 1 else "parallel",
}


@dataclass(frozen=True, eq=False)
class Contest:
    """Who competes for a frontier at a batch size, and who wins.

    axis     "" where all compete; else those whose `axis` has this `value`
    members  indices of the candidates
    points   indices within `members` of those on the frontier
    """

    axis: str
    value: str
    batch_size: int
    members: NDArray[np.intp]
    memory_bytes: Floats
    points: NDArray[np.intp]


def frontier_tables(
    benchmarks: Mapping[str, Candidates],
    batch_sizes: Sequence[int],
    weights: Mapping[str, Floats],
) -> tuple[pa.Table, pa.Table]:
    """frontier.parquet and frontiers.parquet, by memory within each frontier.

    weights  bootstrap weights of each benchmark's questions
    """
    rows = [
        row
        for benchmark, candidates in benchmarks.items()
        for row in frontier_rows(candidates, batch_sizes, weights[benchmark])
    ]
    order = ("axis", "benchmark", "batch_size", "value", "memory_bytes")
    rows.sort(key=lambda row: tuple(row[name] for name in order))
    of_all, of_some = ([row for row in rows if bool(row["axis"]) == some] for some in (False, True))
    return (
        pa.Table.from_pylist(of_all, schema=FRONTIER),
        pa.Table.from_pylist(of_some, schema=FRONTIERS),
    )


def frontier_rows(
    candidates: Candidates, batch_sizes: Sequence[int], weights: Floats
) -> Iterator[dict]:
    """Every point of every frontier, with the share of bootstrap draws in which it stays there."""
    held = list(contests(candidates, batch_sizes))
    stays = [np.zeros(len(contest.points)) for contest in held]
    for start in range(0, len(weights), DRAWS_AT_ONCE):
        draws = bootstrap_means(candidates.scores, weights[start : start + DRAWS_AT_ONCE])
        for contest, stay in zip(held, stays, strict=True):
            own = draws[:, contest.members] if contest.axis else draws
            stay += p_on_frontier(contest.memory_bytes, own, contest.points) * len(draws)
    for contest, stay in zip(held, stays, strict=True):
        yield from _rows(candidates, contest, stay / len(weights))


def contests(candidates: Candidates, batch_sizes: Sequence[int]) -> Iterator[Contest]:
    """All frontiers. An axis on which there is one value alone says nothing new and is left out."""
    groups = {("", ""): np.arange(len(candidates))}
    for axis, value_of in AXES.items():
        found: dict[str, list[int]] = defaultdict(list)
        for index, row in enumerate(candidates.rows):
            found[value_of(row)].append(index)
        if len(found) > 1:
            groups |= {(axis, value): np.array(those) for value, those in found.items()}
    for batch_size in batch_sizes:
        memory_bytes = candidates.memory_bytes(batch_size)
        for (axis, value), members in groups.items():
            own = memory_bytes[members]
            points = np.flatnonzero(pareto(own, candidates.accuracy[members]))
            yield Contest(axis, value, batch_size, members, own, points)


def _rows(candidates: Candidates, contest: Contest, stays: Floats) -> Iterator[dict]:
    for point, stay in zip(contest.points.tolist(), stays.tolist(), strict=True):
        row = candidates.rows[contest.members[point]]
        yield {
            **{name: row[name] for name in FRONTIER.names if name in row},
            "axis": contest.axis,
            "value": contest.value,
            "batch_size": contest.batch_size,
            "memory_bytes": float(contest.memory_bytes[point]),
            "p_on_frontier": round(stay, 12),
        }

"""Results as they are read back: the tables of `reduce`, and a frontier's rows as plain values."""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd

from raysweep.analysis.candidates import Candidates
from raysweep.storage import result_files
from raysweep.storage.record import read_summary
from raysweep.storage.schemas import THRESHOLDS
from raysweep.storage.store import Store
from raysweep.system.quantities import weights_label


def _no_thresholds() -> pd.DataFrame:
    return THRESHOLDS.empty_table().to_pandas()


@dataclass(frozen=True)
class Results:
    """What `reduce` wrote: its tables in the columns of `tables`, and summary.json.

    candidates  the scenarios of each benchmark with every question's score, in the order of the table
    """

    scenarios: pd.DataFrame
    frontier: pd.DataFrame
    summary: dict[str, Any]
    candidates: Mapping[str, Candidates] = field(default_factory=dict)
    thresholds: pd.DataFrame = field(default_factory=_no_thresholds)

    def of(self, benchmark: str) -> "Results":
        """The same of one benchmark alone."""
        return Results(
            where(self.scenarios, benchmark=benchmark),
            where(self.frontier, benchmark=benchmark),
            self.summary,
            {name: own for name, own in self.candidates.items() if name == benchmark},
            where(self.thresholds, benchmark=benchmark),
        )

    @property
    def batch_sizes(self) -> list[int]:
        """Those of the sweep."""
        return sorted(self.frontier.batch_size.unique().tolist()) or [1]


@dataclass(frozen=True)
class Point:
    """A row of frontier.parquet."""

    benchmark: str
    batch_size: int
    engine_id: str
    model: str
    weight_method: str
    weight_bits: int
    kv_policy: str
    token_budget: int
    group_size: int
    memory_bytes: float
    accuracy: float
    accuracy_lo: float
    accuracy_hi: float
    p_on_frontier: float  # NaN where it is not known

    @property
    def weights(self) -> str:
        """`bf16`, `gptq4`."""
        return weights_label(self.weight_method, self.weight_bits)


def read_results(store: Store) -> Results:
    """The results of a run."""
    return Results(
        store.read_table(result_files.SCENARIOS).to_pandas(),
        store.read_table(result_files.FRONTIER).to_pandas(),
        read_summary(store),
        read_candidates(store),
        store.read_table(result_files.THRESHOLDS).to_pandas(),
    )


def points_of(frontier: pd.DataFrame) -> tuple[Point, ...]:
    """The rows of a frontier table, least memory first."""
    names = [field.name for field in fields(Point)]
    columns = [frontier[name].tolist() for name in names]
    points = [Point(*values) for values in zip(*columns, strict=True)]
    return tuple(sorted(points, key=lambda point: point.memory_bytes))


def where(table: pd.DataFrame, **wanted: Hashable) -> pd.DataFrame:
    """The rows whose columns have the wanted values: `where(scenarios, group_size=1)`."""
    for name, value in wanted.items():
        table = table.loc[table[name] == value]
    return table


SCORE_KEY = ("engine_id", "benchmark", "token_budget", "group_size")


def read_candidates(store: Store) -> dict[str, Candidates]:
    """The scenarios of each benchmark with their scores, in the order of scenarios.parquet."""
    table = store.read_table(result_files.SCORES)
    lists = table.column("scores").combine_chunks()
    keys = zip(*(table.column(name).to_pylist() for name in SCORE_KEY), strict=True)
    starts = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False).astype(np.float64)
    scores = {key: values[starts[i] : starts[i + 1]] for i, key in enumerate(keys)}
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in store.read_table(result_files.SCENARIOS).to_pylist():
        groups[row["benchmark"]].append(row)
    return {
        benchmark: Candidates(
            tuple(rows),
            np.stack([scores[tuple(row[name] for name in SCORE_KEY)] for row in rows], axis=1),
        )
        for benchmark, rows in groups.items()
    }

"""Results as they are read back: the tables of `reduce`, and a frontier's rows as points."""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from raysweep.analysis.candidates import KEY, Candidates
from raysweep.analysis.configurations import WEIGHT_COLUMNS, Configuration, Row, weights_of
from raysweep.errors import ConfigError
from raysweep.spec import WeightSpec
from raysweep.storage import result_files
from raysweep.storage.comparison_schemas import CONTROLS, CORRELATIONS, FINDINGS, INFLATION
from raysweep.storage.reductions import check_one_reduction
from raysweep.storage.schemas import THRESHOLDS
from raysweep.storage.store import Store
from raysweep.storage.summary import read_summary

# Tables that a run may lack: an older version wrote none, and a test needs none.
OPTIONAL = {
    result_files.THRESHOLDS: THRESHOLDS,
    result_files.CONTROLS: CONTROLS,
    result_files.INFLATION: INFLATION,
    result_files.FINDINGS: FINDINGS,
    result_files.CORRELATIONS: CORRELATIONS,
}


def _none(name: str) -> pd.DataFrame:
    """The table without rows."""
    return OPTIONAL[name].empty_table().to_pandas()


def _read(store: Store, name: str) -> pd.DataFrame:
    """The table of a run; without rows if the run lacks it."""
    return store.read_table(name).to_pandas() if store.exists(name) else _none(name)


@dataclass(frozen=True)
class Results:
    """What `reduce` wrote: its tables in the columns of storage/schemas.py, and summary.json.

    candidates  the `comparable` scenarios of each benchmark with every question's score, in the table's order
    """

    scenarios: pd.DataFrame
    frontier: pd.DataFrame
    summary: dict[str, Any]
    candidates: Mapping[str, Candidates] = field(default_factory=dict)
    thresholds: pd.DataFrame = field(default_factory=partial(_none, result_files.THRESHOLDS))
    controls: pd.DataFrame = field(default_factory=partial(_none, result_files.CONTROLS))
    inflation: pd.DataFrame = field(default_factory=partial(_none, result_files.INFLATION))
    findings: pd.DataFrame = field(default_factory=partial(_none, result_files.FINDINGS))
    correlations: pd.DataFrame = field(default_factory=partial(_none, result_files.CORRELATIONS))

    def of(self, benchmark: str) -> "Results":
        """The results of one benchmark alone."""
        return Results(
            where(self.scenarios, benchmark=benchmark),
            where(self.frontier, benchmark=benchmark),
            self.summary,
            {name: own for name, own in self.candidates.items() if name == benchmark},
            where(self.thresholds, benchmark=benchmark),
            where(self.controls, benchmark=benchmark),
            where(self.inflation, benchmark=benchmark),
            where(self.findings, benchmark=benchmark),
            where(self.correlations, benchmark=benchmark),
        )

    @property
    def batch_sizes(self) -> list[int]:
        """The batch sizes of the sweep."""
        return sorted(self.frontier.batch_size.unique().tolist()) or [1]


@dataclass(frozen=True)
class Point:
    """A row of frontier.parquet. `p_on_frontier` is NaN where it is unknown.

    accuracy  as measured, on the questions that also chose the point
    expected  on new questions, with its interval
    """

    benchmark: str
    batch_size: int
    configuration: Configuration
    memory_bytes: float
    accuracy: float
    expected: float
    expected_lo: float
    expected_hi: float
    p_on_frontier: float

    @property
    def key(self) -> tuple[str, str, int, int]:
        """The values of KEY."""
        chosen = self.configuration
        return chosen.engine_id, self.benchmark, chosen.token_budget, chosen.group_size


def read_results(store: Store) -> Results:
    """The results of a run.

    Raises ConfigError if an older version reduced it, whose tables lack the accuracies that are reported, and
    if the tables belong to different reductions.
    """
    check_one_reduction(store)
    table = store.read_table(result_files.SCENARIOS)
    if "estimate" not in table.column_names:
        raise ConfigError(
            f"{store.path(result_files.SCENARIOS)} is of an older version and has no column 'estimate'; "
            "run the stage 'reduce' again"
        )
    scenarios = table.to_pandas()
    if "stopped_at" not in scenarios:  # of an older version, which stopped nothing
        scenarios["stopped_at"] = np.nan
    return Results(
        scenarios,
        with_weights(store.read_table(result_files.FRONTIER).to_pandas(), scenarios),
        read_summary(store),
        {
            name: candidates.comparable
            for name, candidates in _candidates(
                table, store.read_table(result_files.SCORES)
            ).items()
        },
        *(_read(store, name) for name in OPTIONAL),
    )


def with_weights(frontier: pd.DataFrame, scenarios: pd.DataFrame) -> pd.DataFrame:
    """A frontier with all columns of the weights.

    Older versions left some out of frontier.parquet. They are those of the same engine's scenarios.
    """
    engines = scenarios.drop_duplicates("engine_id").set_index("engine_id")
    lacking = [name for name in WEIGHT_COLUMNS if name in engines and name not in frontier]
    return frontier.assign(**{name: frontier.engine_id.map(engines[name]) for name in lacking})


def points_of(frontier: pd.DataFrame) -> tuple[Point, ...]:
    """The rows of a frontier table, least memory first."""
    points = [_point(row) for row in frontier.to_dict("records")]
    return tuple(sorted(points, key=lambda point: point.memory_bytes))


def _point(row: Row) -> Point:
    return Point(
        benchmark=row["benchmark"],
        batch_size=row["batch_size"],
        configuration=Configuration.of_row(row),
        memory_bytes=row["memory_bytes"],
        accuracy=row["accuracy"],
        expected=row["expected"],
        expected_lo=row["expected_lo"],
        expected_hi=row["expected_hi"],
        p_on_frontier=row["p_on_frontier"],
    )


def weights_column(table: pd.DataFrame) -> list[WeightSpec]:
    """The precision of the weights of each row."""
    own = [name for name in WEIGHT_COLUMNS if name in table]
    return [weights_of(row) for row in table.loc[:, own].to_dict("records")]


def where(table: pd.DataFrame, **wanted: Hashable) -> pd.DataFrame:
    """The rows whose columns have the wanted values: `where(scenarios, group_size=1)`."""
    for name, value in wanted.items():
        table = table.loc[table[name] == value]
    return table


def read_candidates(store: Store) -> dict[str, Candidates]:
    """The scenarios of each benchmark with their scores, in the order of scenarios.parquet.

    Raises ConfigError if the tables belong to different reductions.
    """
    check_one_reduction(store)
    return _candidates(
        store.read_table(result_files.SCENARIOS), store.read_table(result_files.SCORES)
    )


def _candidates(scenarios: pa.Table, scores: pa.Table) -> dict[str, Candidates]:
    lists = scores.column("scores").combine_chunks()
    keys = zip(*(scores.column(name).to_pylist() for name in KEY), strict=True)
    starts = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False).astype(np.float64)
    score_of = {key: values[starts[i] : starts[i + 1]] for i, key in enumerate(keys)}
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in scenarios.to_pylist():
        groups[row["benchmark"]].append(row)
    return {
        benchmark: Candidates.of_rows(
            rows,
            np.stack([score_of[tuple(row[name] for name in KEY)] for row in rows], axis=1),
            # An older version stored no estimates, and none is null.
            np.array([row.get("estimate") for row in rows], dtype=np.float64),
        )
        for benchmark, rows in groups.items()
    }

"""Results as they are read back: the tables of `reduce`, and a frontier's rows as plain values."""

from collections.abc import Hashable
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from raysweep.record import read_summary
from raysweep.reporting.wording import weights_label
from raysweep.store import Store


@dataclass(frozen=True)
class Results:
    """What `reduce` wrote: two tables in the columns of `tables`, and summary.json."""

    scenarios: pd.DataFrame
    frontier: pd.DataFrame
    summary: dict[str, Any]


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
        store.read_table("scenarios.parquet").to_pandas(),
        store.read_table("frontier.parquet").to_pandas(),
        read_summary(store),
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

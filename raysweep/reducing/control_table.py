"""How far two backends differ: engines with the full cache beside their controls. Pure: no I/O.

The one idea: a control differs from its engine by the backend alone. So the difference of their accuracies,
paired by question, is what a comparison between policies of the two backends holds besides the policies.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from raysweep.analysis.uncertainty import mean_score, paired_difference
from raysweep.reducing.partitions import Reduced
from raysweep.reducing.scenarios import Scenario
from raysweep.storage.comparison_schemas import CONTROLS


def control_table(reduced: Sequence[Reduced]) -> pa.Table:
    """controls.parquet: every scenario that both an engine and its control have."""
    engines = {_repeated(one): one for one in reduced if not one.engine.control}
    rows = [
        row
        for control in reduced
        if control.engine.control
        for row in _rows(engines[_repeated(control)], control)
    ]
    return pa.Table.from_pylist(rows, schema=CONTROLS)


def _repeated(one: Reduced) -> tuple:
    """What an engine and its control have in common."""
    engine = one.engine
    return engine.model.name, engine.weights, engine.kv_policy.slug, one.benchmark


def _rows(engine: Reduced, control: Reduced) -> Iterator[dict[str, Any]]:
    scenarios = {_place(scenario): scenario for scenario in engine.scenarios}
    for other in control.scenarios:
        one = scenarios.get(_place(other))
        if one is not None and (measured := ~np.isnan(one.scores - other.scores)).any():
            yield {
                **{name: one.row[name] for name in CONTROLS.names if name in one.row},
                **_difference(one, other, measured),
                "backend": engine.engine.backend,
                "control_id": control.engine.engine_id,
                "control_backend": control.engine.backend,
            }


def _place(scenario: Scenario) -> tuple[int, int]:
    return scenario.row["token_budget"], scenario.row["group_size"]


def _difference(one: Scenario, other: Scenario, measured: np.ndarray) -> dict[str, Any]:
    """The columns that compare two scenarios on the questions that both have samples of."""
    difference = paired_difference(one.scores[measured], other.scores[measured])
    return {
        "n_questions": int(measured.sum()),
        "complete": one.row["complete"] and other.row["complete"],
        "accuracy": float(mean_score(one.scores[measured])),
        "control_accuracy": float(mean_score(other.scores[measured])),
        "difference": float(difference.mean),
        "difference_lo": float(difference.low),
        "difference_hi": float(difference.high),
    }

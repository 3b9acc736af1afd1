"""The result tables as they are written: scenarios, scores, questions, thresholds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from raysweep.analysis.candidates import KEY, Candidates
from raysweep.analysis.threshold import Threshold
from raysweep.reducing.scenarios import Scenario
from raysweep.spec import Benchmark
from raysweep.storage.schemas import QUESTIONS, SCENARIOS, SCORES, THRESHOLDS


def scenario_table(scenarios: Sequence[Scenario], comparable: Mapping[str, Candidates]) -> pa.Table:
    """scenarios.parquet, in the order of KEY.

    comparable  those of each benchmark that were compared; the others have no estimate
    """
    best: set[tuple] = set()
    estimate: dict[tuple, float] = {}
    for candidates in comparable.values():
        keys = [member.key for member in candidates.members]
        best |= {keys[point] for point in candidates.frontier(batch_size=1).tolist()}
        estimate |= zip(keys, candidates.estimate.tolist(), strict=True)
    rows = [
        {**one.row, "on_frontier": one.key in best, "estimate": estimate.get(one.key)}
        for one in sorted(scenarios, key=lambda one: one.key)
    ]
    return pa.Table.from_pylist(rows, schema=SCENARIOS)


def score_table(benchmarks: Mapping[str, Candidates]) -> pa.Table:
    """scores.parquet: each question's accuracy, from which scenarios are compared in pairs."""
    tables = []
    for candidates in benchmarks.values():
        keys = [dict(zip(KEY, member.key, strict=True)) for member in candidates.members]
        n_questions, n_rows = candidates.scores.shape
        flat = pa.array(candidates.scores.T.ravel(), from_pandas=True)  # NaN becomes null
        offsets = pa.array(np.arange(n_rows + 1, dtype=np.int32) * n_questions)
        table = pa.Table.from_pylist(keys, schema=pa.schema([SCORES.field(name) for name in KEY]))
        scores = pa.ListArray.from_arrays(offsets, flat)
        tables.append(table.append_column(SCORES.field("scores"), scores))
    return pa.concat_tables([SCORES.empty_table(), *tables])


# By benchmark and batch size.
Thresholds = Mapping[tuple[str, int], Threshold]


def threshold_table(thresholds: Thresholds) -> pa.Table:
    """thresholds.parquet: the advantages that each threshold is judged by."""
    rows = [
        {
            "benchmark": benchmark,
            "batch_size": batch_size,
            "weights_bytes": one.weights_bytes,
            "contests": one.contests,
            "advantage": one.mean,
            "advantage_lo": one.low,
            "advantage_hi": one.high,
        }
        for (benchmark, batch_size), threshold in thresholds.items()
        for one in threshold.advantages
    ]
    return pa.Table.from_pylist(rows, schema=THRESHOLDS)


def thresholds_found(thresholds: Thresholds) -> list[dict[str, Any]]:
    """The thresholds, for summary.json."""
    return [
        {
            "benchmark": benchmark,
            "batch_size": batch_size,
            **_verdict(found),
            "agreement_p_value": found.agreement_p,
            "smooth": found.smooth
            and {**_verdict(found.smooth), "fit_p_value": found.smooth.fit_p},
        }
        for (benchmark, batch_size), found in thresholds.items()
    ]


def _verdict(found: Threshold) -> dict[str, Any]:
    return {
        "decided": found.decided,
        "reason": found.reason,
        "weights_bytes": found.weights_bytes,
        "weights_bytes_lo": found.low,
        "weights_bytes_hi": found.high,
        "p_value": found.p_value,
    }


def question_table(benchmarks: Iterable[Benchmark]) -> pa.Table:
    rows = [
        {"benchmark": benchmark.name, "question_id": question.question_id}
        for benchmark in benchmarks
        for question in benchmark.questions
    ]
    return pa.Table.from_pylist(rows, schema=QUESTIONS)

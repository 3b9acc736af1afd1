"""The result tables as they are written: scenarios, scores, questions, thresholds."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.threshold import Threshold
from raysweep.frontier import pareto
from raysweep.reducing.scenarios import KEY
from raysweep.spec import Benchmark
from raysweep.storage.schemas import QUESTIONS, SCENARIOS, SCORES, THRESHOLDS


def scenario_table(benchmarks: Mapping[str, Candidates]) -> pa.Table:
    """scenarios.parquet, in the order of KEY; `on_frontier` is said within a benchmark."""
    rows = []
    for candidates in benchmarks.values():
        on_frontier = pareto(candidates.memory_bytes(batch_size=1), candidates.accuracy)
        pairs = zip(candidates.rows, on_frontier.tolist(), strict=True)
        rows += [{**row, "on_frontier": on} for row, on in pairs]
    rows.sort(key=lambda row: tuple(row[name] for name in KEY))
    return pa.Table.from_pylist(rows, schema=SCENARIOS)


def score_table(benchmarks: Mapping[str, Candidates]) -> pa.Table:
    """scores.parquet: each question's accuracy, for whatever compares scenarios in pairs."""
    tables = []
    for candidates in benchmarks.values():
        keys = [{name: row[name] for name in KEY} for row in candidates.rows]
        n_questions, n_rows = candidates.scores.shape
        flat = pa.array(candidates.scores.T.ravel(), from_pandas=True)  # NaN becomes null
        offsets = pa.array(np.arange(n_rows + 1, dtype=np.int32) * n_questions)
        table = pa.Table.from_pylist(keys, schema=pa.schema([SCORES.field(name) for name in KEY]))
        scores = pa.ListArray.from_arrays(offsets, flat)
        tables.append(table.append_column(SCORES.field("scores"), scores))
    return pa.concat_tables([SCORES.empty_table(), *tables])


Thresholds = Mapping[tuple[str, int], Threshold]  # by benchmark and batch size


def threshold_table(thresholds: Thresholds) -> pa.Table:
    """thresholds.parquet: what each answer rests on."""
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
    """The answers, for summary.json."""
    return [
        {
            "benchmark": benchmark,
            "batch_size": batch_size,
            "decided": found.decided,
            "reason": found.reason,
            "weights_bytes": found.weights_bytes,
            "weights_bytes_lo": found.low,
            "weights_bytes_hi": found.high,
            "p_value": found.p_value,
        }
        for (benchmark, batch_size), found in thresholds.items()
    ]


def question_table(benchmarks: Iterable[Benchmark]) -> pa.Table:
    rows = [
        {"benchmark": benchmark.name, "question_id": question.question_id}
        for benchmark in benchmarks
        for question in benchmark.questions
    ]
    return pa.Table.from_pylist(rows, schema=QUESTIONS)

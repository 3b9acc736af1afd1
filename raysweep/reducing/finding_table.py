"""findings.parquet: a verdict on each of the study's findings, for each benchmark and batch size."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.verdicts import FINDINGS, Verdict, find_verdicts
from raysweep.reducing.result_tables import Thresholds
from raysweep.storage import comparison_schemas


def finding_table(benchmarks: Mapping[str, Candidates], thresholds: Thresholds) -> pa.Table:
    """The rows of each benchmark and batch size, in the order of `verdicts.FINDINGS`."""
    rows = [
        {"benchmark": benchmark, "batch_size": batch_size, **_row(verdict)}
        for (benchmark, batch_size), threshold in thresholds.items()
        if benchmark in benchmarks
        for verdict in find_verdicts(benchmarks[benchmark], batch_size, threshold)
    ]
    return pa.Table.from_pylist(rows, schema=comparison_schemas.FINDINGS)


def _row(verdict: Verdict) -> dict[str, Any]:
    return {
        "finding": verdict.finding,
        "statement": FINDINGS[verdict.finding],
        "verdict": verdict.verdict,
        "comparisons": verdict.comparisons,
        "reason": verdict.reason,
        **_size(verdict),
        **_effects(verdict),
    }


def _size(verdict: Verdict) -> dict[str, Any]:
    """The effective size at which the choice changes, if that is decided."""
    found = verdict.threshold
    if found is None:
        return {}
    if not found.decided:
        return {"p_value": found.p_value}
    return {
        "effect_of": "effective size at which it changes",
        "unit": "bytes",
        "effect": found.weights_bytes,
        "effect_lo": found.low,
        "effect_hi": found.high,
        "p_value": found.p_value,
    }


def _effects(verdict: Verdict) -> dict[str, Any]:
    columns = {}
    for name, part in zip(("effect", "second"), verdict.parts, strict=False):
        claim = part.claim
        columns |= {f"{name}_of": part.of, name: claim.effect}
        columns |= {f"{name}_lo": claim.low, f"{name}_hi": claim.high}
    if verdict.parts:
        columns |= {"unit": "accuracy"}
    if verdict.parts and verdict.threshold is None:
        columns |= {"p_value": verdict.parts[0].claim.p_value}
    return columns

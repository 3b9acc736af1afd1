"""What common random numbers are worth, in words: correlations.parquet by what two engines differ in."""

from dataclasses import dataclass

import pandas as pd

from raysweep.reporting.results import where

# In the order in which the page lists them.
DIFFERENCES = {"kv_policy": "KV policy", "precision": "precision", "model": "model"}


@dataclass(frozen=True)
class SharedLuck:
    """The pairs of engines of a benchmark that differ in one choice alone.

    mean, least, largest  of their correlations
    worth                 how many times fewer samples a difference needs than with luck of its own, in words
    """

    benchmark: str
    differ_in: str
    pairs: int
    mean: str
    least: str
    largest: str
    worth: str


def shared_luck(correlations: pd.DataFrame) -> list[SharedLuck]:
    """A row for each benchmark and kind of pair; pairs that never vary are left out."""
    known = correlations.dropna(subset=["correlation"])
    return [
        _row(str(benchmark), kind, where(rows, differ_in=kind).correlation.tolist())
        for benchmark, rows in known.groupby("benchmark")
        for kind in DIFFERENCES
        if (rows.differ_in == kind).any()
    ]


def _row(benchmark: str, kind: str, values: list[float]) -> SharedLuck:
    mean = sum(values) / len(values)
    shown = (f"{value:.2f}".replace("-", "−") for value in (mean, min(values), max(values)))
    return SharedLuck(benchmark, DIFFERENCES[kind], len(values), *shown, worth=_worth(mean))


def _worth(mean: float) -> str:
    """`3.2 ×`, of samples of each engine; a correlation of 1 needs none."""
    left = 1 - mean
    return "all" if left < 0.01 else f"{1 / left:.1f} ×"

"""What an adaptive run is expected to cost, as a share of the full run's GPU-seconds.

It was simulated once, in planted worlds like the study's, with its 180 engines and 32 samples. Only runs with
much in common with these save as much. `python -m benchmarks.adaptive --csv` makes the table,
adaptive_saving.csv.
"""

import csv
from dataclasses import dataclass
from functools import cache
from math import log
from pathlib import Path

import numpy as np

from raysweep.run_config import Sweep

FRONTIER, MEMORY = "frontier", "memory"
TABLE = Path(__file__).with_name("adaptive_saving.csv")


@dataclass(frozen=True)
class Simulated:
    """The mean share of the full run's GPU-seconds, for a goal, an epsilon and a number of questions."""

    goal: str
    epsilon: float
    questions: int
    share: float


@cache
def simulated() -> tuple[Simulated, ...]:
    """The rows of adaptive_saving.csv."""
    with TABLE.open(encoding="utf-8", newline="") as lines:
        return tuple(
            Simulated(
                row["goal"], float(row["epsilon"]), int(row["questions"]), float(row["share"])
            )
            for row in csv.DictReader(lines)
        )


def expected_share(sweep: Sweep) -> float | None:
    """The expected share of an adaptive sweep, the mean over its questions.

    None if no epsilon as small as the sweep's was simulated. Between the simulated numbers of questions it is
    interpolated, and outside of them it is that of the nearest number.
    """
    own = sweep.adaptive
    if own is None:
        return None
    goal = FRONTIER if own.memory_bytes is None else MEMORY
    rows = [row for row in simulated() if row.goal == goal and row.epsilon <= own.epsilon]
    if not rows:
        return None
    epsilon = max(row.epsilon for row in rows)
    rows = sorted((row for row in rows if row.epsilon == epsilon), key=lambda row: row.questions)
    counts = [len(benchmark.questions) for benchmark in sweep.benchmarks]
    shares = np.interp(
        np.log(counts), [log(row.questions) for row in rows], [row.share for row in rows]
    )
    return float(np.average(shares, weights=counts))

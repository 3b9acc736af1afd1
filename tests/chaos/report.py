"""The result of a sweep in chaos: its faults, its samples, and a table of them."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

KEY = ["engine_id", "benchmark", "question_id", "sample_index"]


@dataclass
class Report:
    """The faults injected into a sweep, and what they cost.

    restarts_s  seconds from a driver's start to its first new sample
    ended_s     seconds from SIGTERM to the end of the driver
    """

    injected: Counter[str] = field(default_factory=Counter)
    restarts_s: list[float] = field(default_factory=list)
    ended_s: list[float] = field(default_factory=list)


def samples(run: Path) -> pd.DataFrame:
    """All samples of a run in order, without timings. Equal samples of two parts count once."""
    tables = [pd.read_parquet(file) for file in sorted(run.glob("samples/*/*.parquet"))]
    table = pd.concat(tables).drop(columns="wall_s")
    table["as_bytes"] = [repr(row) for row in table.to_dict("records")]
    once = table.drop_duplicates(["as_bytes"]).drop(columns="as_bytes")
    return once.sort_values(KEY).reset_index(drop=True)


def table(report: Report, lost: list[float]) -> str:
    lines = [f"{'kind of fault':<18}{'injected and survived':>22}"]
    lines += [f"{kind:<18}{count:>22}" for kind, count in sorted(report.injected.items())]
    lines += [f"{'all':<18}{report.injected.total():>22}"]
    if report.restarts_s:
        worst = max(report.restarts_s)
        lines.append(f"from a driver's start to its first sample: {worst:.1f} s at most")
    if report.ended_s:
        lines.append(f"from SIGTERM to exit status 3: {max(report.ended_s):.1f} s at most")
    if lost:
        mean = sum(lost) / len(lost)
        lines.append(f"work lost per actor: {mean:.2f} shards in the mean, {max(lost):.2f} at most")
    return "\n".join(lines)

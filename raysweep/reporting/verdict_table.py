"""The verdicts on the study's findings in words: for the terminal and the page."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from rich.table import Table
from rich.text import Text

from raysweep.analysis.configurations import Row
from raysweep.reporting.results import Results, where
from raysweep.reporting.terminal import empty_table
from raysweep.system.quantities import human_bytes, percentage_points, plural
from raysweep.system.safe_text import printable

# What is said of several verdicts beside their table.
HOW = (
    "Effects are differences of accuracy in percentage points, at equal memory and averaged over memories. "
    "Configurations are chosen on one half of the questions and judged on the other. A finding says that an "
    "effect is above 0, or, where something should not pay, that it is below 2 points. It holds if the 95% "
    "intervals show this of all its effects. It does not hold if they show the contrary of one. A finding "
    "that is not decided may be true or false."
)


@dataclass(frozen=True)
class Effect:
    """`1.2 points` and `0.5 to 1.8`, of what; only `of` where there is no number, which says why."""

    of: str
    size: str = ""
    interval: str = ""


@dataclass(frozen=True)
class Said:
    """A verdict on a finding, and the effects behind it, the main one first."""

    statement: str
    verdict: str
    effects: tuple[Effect, ...]


def verdicts(results: Results, benchmark: str, batch_size: int) -> list[Said]:
    """Those on a benchmark at a batch size, in the order of `verdicts.FINDINGS`."""
    rows = where(results.findings, benchmark=benchmark, batch_size=batch_size)
    return [
        Said(row["statement"], row["verdict"], tuple(_effects(row)))
        for row in rows.to_dict("records")
    ]


def _effects(row: Row) -> Iterator[Effect]:
    if row["unit"] == "bytes":
        low, high = human_bytes(row["effect_lo"]), human_bytes(row["effect_hi"])
        yield Effect(row["effect_of"], human_bytes(row["effect"]), f"{low} to {high}")
        return
    if not pd.isna(row["effect"]):
        number = f" (of {plural(row['comparisons'], 'comparison')})" if row["comparisons"] else ""
        yield _points(row, "effect", number)
    if not pd.isna(row["second"]):
        yield _points(row, "second")
    if row["reason"]:
        yield Effect(row["reason"])


def _points(row: Row, name: str, number: str = "") -> Effect:
    low, high = (percentage_points(row[f"{name}_{end}"]) for end in ("lo", "hi"))
    return Effect(
        row[f"{name}_of"] + number, f"{percentage_points(row[name])} points", f"{low} to {high}"
    )


def verdict_table(results: Results, benchmark: str, batch_size: int) -> Table:
    """A row per finding: its verdict, what it says, and below that a line per effect."""
    batch = "" if batch_size == 1 else f", weights shared by a batch of {batch_size}"
    title = Text(f"{printable(benchmark)}: what these data say of the study's findings{batch}")
    table = empty_table(title, ("verdict", "finding"), words=("verdict", "finding"))
    table.padding = (0, 2, 0, 0)
    for said in verdicts(results, benchmark, batch_size):
        finding = Text(printable(said.statement))
        for effect in said.effects:
            finding.append(f"\n{printable(_in_a_line(effect))}", style="dim")
        table.add_row(Text(printable(said.verdict), style="bold"), finding)
    return table


def _in_a_line(effect: Effect) -> str:
    """`1.2 points (0.5 to 1.8): any KV policy less the full cache`."""
    return f"{effect.size} ({effect.interval}): {effect.of}" if effect.size else effect.of

"""The frontier as a table for the terminal, at the end of a run."""

from collections.abc import Iterable
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from raysweep.analysis.cross_fitting import expected_to_gain
from raysweep.reporting.results import Point, points_of, where
from raysweep.system.quantities import human_bytes, interval, percent, plural
from raysweep.system.safe_text import printable

if TYPE_CHECKING:
    import pandas as pd


def frontier_table(
    frontier: "pd.DataFrame", benchmark: str, batch_size: int, compared: int
) -> Table:
    """The frontier of a benchmark at a batch size, least memory first.

    compared  how many configurations of the benchmark there are

    Points that are not expected to gain on one of less memory are left out, and the title counts them.
    `frontier` has the columns of `schemas.FRONTIER`, less the measured accuracy, for which 80 columns
    have no room. Names are literal text, never markup.
    """
    names = ("memory", "model, weights", "KV policy", "tokens", "G")
    numbers = ("expected", "interval")
    points = points_of(where(frontier, benchmark=benchmark, batch_size=batch_size))
    expected = np.array([point.expected for point in points])
    gaining = list(compress(points, expected_to_gain(expected)))
    title = _title(benchmark, batch_size, compared, len(points) - len(gaining))
    table = empty_table(title, (*names, *numbers), words=("model, weights", "KV policy"))
    for point in gaining:
        table.add_row(*(Text(printable(cell)) for cell in _cells(point)))
    return table


def _title(benchmark: str, batch_size: int, compared: int, left_out: int) -> Text:
    batch = "" if batch_size == 1 else f", weights shared by a batch of {batch_size}"
    return Text(
        f"{printable(benchmark)}: the best of {plural(compared, 'configuration')} for each memory{batch}, "
        "with the accuracy to expect on new questions and its 95% interval"
        + (
            f"; left out: {plural(left_out, 'point')} of the frontier without an expected gain"
            * bool(left_out)
        )
    )


def _cells(point: Point) -> tuple[str, ...]:
    chosen = point.configuration
    return (
        human_bytes(point.memory_bytes),
        f"{chosen.model} {chosen.precision}",
        chosen.kv_policy,
        f"{chosen.token_budget:,}",
        str(chosen.group_size),
        percent(point.expected),
        interval(point.expected_lo, point.expected_hi),
    )


def empty_table(title: Text, names: Iterable[str], words: Iterable[str]) -> Table:
    """A table without rows. Columns in `words` are aligned left, numbers right."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
    )
    for name in names:
        is_word = name in words
        # In a narrow terminal only words may fold, since part of a number would mislead.
        table.add_column(
            name, justify="left" if is_word else "right", no_wrap=not is_word, overflow="fold"
        )
    return table

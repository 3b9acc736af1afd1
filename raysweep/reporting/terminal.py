"""The frontier as a table for the terminal, at the end of a run."""

from collections.abc import Iterable, Sequence
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

# A table in the terminal has at most this many rows for each benchmark.
MOST_ROWS = 15

# Columns of a terminal, unless it is known to have others.
WIDTH = 80

# Where all points of a frontier are.
REST = "frontier.parquet and the page have all"


def frontier_table(
    frontier: "pd.DataFrame", benchmark: str, batch_size: int, compared: int, width: int = WIDTH
) -> Table:
    """The frontier of a benchmark at a batch size, least memory first, in at most MOST_ROWS rows.

    compared  how many configurations of the benchmark there are
    width     columns of the terminal; a name that is too long for them is cut in its middle

    Points that are not expected to gain on one of less memory are left out, and the title counts them.
    `frontier` has the columns of `schemas.FRONTIER`, less the measured accuracy, for which 80 columns
    have no room. Names are literal text, never markup.
    """
    points = points_of(where(frontier, benchmark=benchmark, batch_size=batch_size))
    expected = np.array([point.expected for point in points])
    gaining = list(compress(points, expected_to_gain(expected)))
    shown = spread(gaining)
    title = _title(benchmark, batch_size, compared, len(points) - len(gaining))
    if len(shown) < len(gaining):
        title.append(f"; {len(shown)} of {len(gaining)} that gain about equally, and {REST}")
    names = ("memory", "tokens", "G", "expected", "interval", "configuration")
    table = empty_table(title, names, words=("configuration",))
    rows = [_cells(point) for point in shown]
    numbers = [max(map(len, column)) for column in zip(names, *rows, strict=True)][:-1]
    room = width - sum(numbers) - len(names) - 1
    for *cells, name in rows:
        table.add_row(*(Text(cell) for cell in [*cells, cut(name, room)]))
    return table


def spread(points: Sequence[Point]) -> list[Point]:
    """At most MOST_ROWS of some points of rising expected accuracy, between which it rises about equally."""
    if len(points) <= MOST_ROWS:
        return list(points)
    expected = np.array([point.expected for point in points])
    steps = np.linspace(expected[0], expected[-1], MOST_ROWS)
    nearest = np.abs(expected[:, None] - steps).argmin(axis=0)
    return [points[place] for place in np.unique(nearest).tolist()]


def cut(name: str, room: int) -> str:
    """A name in at most so many columns: where it is longer, its middle is left out."""
    if len(name) <= room:
        return name
    tail = max(1, (room - 1) // 2)
    return f"{name[: max(1, room - 1 - tail)]}…{name[-tail:]}"


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
        f"{chosen.token_budget:,}",
        str(chosen.group_size),
        percent(point.expected),
        interval(point.expected_lo, point.expected_hi),
        printable(f"{chosen.model} {chosen.precision} {chosen.kv_policy}"),
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

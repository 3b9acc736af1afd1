"""The frontier as a table for the terminal, when a run ends."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from raysweep.reporting.results import Point, points_of, where
from raysweep.system.quantities import human_bytes, interval, percent
from raysweep.system.safe_text import printable

if TYPE_CHECKING:
    import pandas as pd


def frontier_table(frontier: "pd.DataFrame", benchmark: str, batch_size: int) -> Table:
    """The frontier of a benchmark at a batch size, least memory first.

    `frontier` has the columns of `tables.FRONTIER`. Names are literal text, never markup.
    """
    names = ("memory", "model, weights", "KV policy", "tokens", "G", "accuracy", "95%")
    table = empty_table(_title(benchmark, batch_size), names, words=("model, weights", "KV policy"))
    for point in points_of(where(frontier, benchmark=benchmark, batch_size=batch_size)):
        table.add_row(*(Text(printable(cell)) for cell in _cells(point)))
    return table


def _title(benchmark: str, batch_size: int) -> Text:
    batch = "" if batch_size == 1 else f", weights shared by a batch of {batch_size}"
    return Text(f"{printable(benchmark)}: most accuracy for a memory budget{batch}")


def _cells(point: Point) -> tuple[str, ...]:
    return (
        human_bytes(point.memory_bytes),
        f"{point.model} {point.weights}",
        point.kv_policy,
        f"{point.token_budget:,}",
        str(point.group_size),
        percent(point.accuracy),
        interval(point.accuracy_lo, point.accuracy_hi),
    )


def empty_table(title: Text, names: Iterable[str], words: Iterable[str]) -> Table:
    """A table without rows; columns of `words` stand left, numbers right."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in names:
        is_word = name in words
        # Only words may fold where the terminal is narrow: a number is whole or useless.
        table.add_column(
            name, justify="left" if is_word else "right", no_wrap=not is_word, overflow="fold"
        )
    return table

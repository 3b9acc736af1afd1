"""The frontier as a table for the terminal, within 80 columns: what a run says when it ends."""

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from raysweep.reporting.results import Point, points_of, where
from raysweep.reporting.wording import human_bytes, interval, percent


def frontier_table(frontier: pd.DataFrame, benchmark: str, batch_size: int) -> Table:
    """The frontier of a benchmark at a batch size, least memory first.

    `frontier` has the columns of `tables.FRONTIER`. Names are literal text, never markup.
    """
    table = Table(
        title=_title(benchmark, batch_size),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in ("memory", "model, weights", "KV policy", "tokens", "G", "accuracy", "95%"):
        is_word = name in ("model, weights", "KV policy")
        # Only words may fold where the terminal is narrow: a number is whole or useless.
        table.add_column(
            name, justify="left" if is_word else "right", no_wrap=not is_word, overflow="fold"
        )
    for point in points_of(where(frontier, benchmark=benchmark, batch_size=batch_size)):
        table.add_row(*(Text(cell) for cell in _cells(point)))
    return table


def _title(benchmark: str, batch_size: int) -> Text:
    batch = "" if batch_size == 1 else f", weights shared by a batch of {batch_size}"
    return Text(f"{benchmark}: most accuracy for a memory budget{batch}")


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

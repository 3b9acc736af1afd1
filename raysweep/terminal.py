"""The frontier as a table for the terminal, within 100 columns: what a run says when it ends."""

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from raysweep.wording import human_bytes, interval, percent, weights_label


def frontier_table(frontier: pd.DataFrame, benchmark: str, batch_size: int) -> Table:
    """The frontier of a benchmark at a batch size, least memory first.

    `frontier` has the columns of `tables.FRONTIER`. Names are literal text, never markup.
    """
    chosen = (frontier.benchmark == benchmark) & (frontier.batch_size == batch_size)
    table = Table(
        title=_title(benchmark, batch_size),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    for name in ("memory", "model", "weights", "KV policy", "tokens", "G", "accuracy", "95% interval"):
        is_word = name in ("model", "weights", "KV policy")
        # Only words may fold where the terminal is narrow: a number is whole or useless.
        table.add_column(
            name, justify="left" if is_word else "right", no_wrap=not is_word, overflow="fold"
        )
    for row in frontier[chosen].sort_values("memory_bytes").itertuples():
        table.add_row(*(Text(cell) for cell in _cells(row)))
    return table


def _title(benchmark: str, batch_size: int) -> Text:
    batch = "" if batch_size == 1 else f", weights shared by a batch of {batch_size}"
    return Text(f"{benchmark}: most accuracy for a memory budget{batch}")


def _cells(row) -> tuple[str, ...]:
    return (
        human_bytes(row.memory_bytes),
        row.model,
        weights_label(row.weight_method, row.weight_bits),
        row.kv_policy,
        f"{row.token_budget:,}",
        str(row.group_size),
        percent(row.accuracy),
        interval(row.accuracy_lo, row.accuracy_hi),
    )

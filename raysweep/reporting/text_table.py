"""How a table looks in the terminal, within 80 columns."""

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text


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

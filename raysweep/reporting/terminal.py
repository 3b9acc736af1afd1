"""Tables for the terminal, within 80 columns: the frontier when a run ends, what fits before it begins."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from raysweep.fit import least_fit
from raysweep.memory import kv_peak_bytes, weights_bytes
from raysweep.reporting.results import Point, points_of, where
from raysweep.reporting.wording import human_bytes, interval, percent
from raysweep.run_config import Gpu
from raysweep.spec import EngineSpec

if TYPE_CHECKING:
    import pandas as pd


def frontier_table(frontier: "pd.DataFrame", benchmark: str, batch_size: int) -> Table:
    """The frontier of a benchmark at a batch size, least memory first.

    `frontier` has the columns of `tables.FRONTIER`. Names are literal text, never markup.
    """
    names = ("memory", "model, weights", "KV policy", "tokens", "G", "accuracy", "95%")
    table = _table(_title(benchmark, batch_size), names, words=("model, weights", "KV policy"))
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


def fit_table(engines: Iterable[EngineSpec], gpu: Gpu, tokens: int) -> Table:
    """For each engine the fewest GPUs of one node that hold it, and the sequences beside its weights."""
    title = Text(f"what fits on {gpu.name}, with sequences of {tokens:,} tokens")
    names = ("engine", "weights", "KV / sequence", "GPUs", "sequences")
    table = _table(title, names, words=("engine",))
    for engine in engines:
        fit = least_fit(engine, gpu, tokens)
        table.add_row(
            Text(engine.engine_id),
            human_bytes(weights_bytes(engine.model, engine.weights)),
            human_bytes(kv_peak_bytes(engine.model.architecture, engine.kv_policy, tokens)),
            f"{fit.gpus:g}" if fit else "none",
            f"{fit.rows:,}" if fit else "",
        )
    return table


def _table(title: Text, names: Iterable[str], words: Iterable[str]) -> Table:
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

"""The live display of a generate stage: shards, samples, tokens a second and time left."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

TEXT_WIDTH = 75  # of everything but the bar, in a run of some ten thousand samples


class Receipt(Protocol):
    @property
    def samples(self) -> int: ...

    @property
    def tokens(self) -> int: ...


@contextmanager
def show_progress(
    console: Console, shards: int, samples: int
) -> Iterator[Callable[[Receipt], None]]:
    """Shows progress while the context lasts; gives the function to call for each finished shard.

    On something that is not a terminal, only the last state is printed.
    """
    columns = (
        TextColumn("[bold]generate"),
        BarColumn(bar_width=max(6, min(40, console.width - TEXT_WIDTH))),
        MofNCompleteColumn(),
        TextColumn("samples · {task.fields[shards]} shards · {task.fields[rate]:,.0f} tokens/s"),
        TimeRemainingColumn(compact=True),
    )
    started, done, tokens = time.perf_counter(), 0, 0
    with Progress(*columns, console=console, speed_estimate_period=120) as progress:
        task = progress.add_task("", total=samples, shards=f"0/{shards}", rate=0.0)

        def finished(receipt: Receipt) -> None:
            nonlocal done, tokens
            done, tokens = done + 1, tokens + receipt.tokens
            rate = tokens / (time.perf_counter() - started)
            progress.update(task, advance=receipt.samples, shards=f"{done}/{shards}", rate=rate)

        yield finished

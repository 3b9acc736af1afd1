"""The live display of a generate stage: samples, shards, tokens a second, faults and time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from raysweep.reporting.wording import duration
from raysweep.snapshot import Snapshot

TEXT_WIDTH = 88  # of everything but the bar, in a run of some ten thousand samples


@contextmanager
def show_progress(console: Console, samples: int) -> Iterator[Callable[[Snapshot], None]]:
    """Shows progress while the context lasts; gives the function to call with each snapshot.

    On something that is not a terminal, only the last state is printed.
    """
    columns = (
        TextColumn("[bold]generate"),
        BarColumn(bar_width=max(6, min(40, console.width - TEXT_WIDTH))),
        MofNCompleteColumn(),
        TextColumn("samples · {task.fields[said]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=samples, said="waiting for actors")

        def show(snapshot: Snapshot) -> None:
            done = sum(engine.samples for engine in snapshot.engines)
            progress.update(task, completed=done, said=in_words(snapshot))

        yield show


def in_words(snapshot: Snapshot) -> str:
    """Actors, shards, speed, faults, and the time left."""
    engines = snapshot.engines
    done = sum(engine.shards_done for engine in engines)
    running = sum(engine.shards_running for engine in engines)
    waiting = sum(engine.shards_waiting for engine in engines)
    said = [
        f"{done:,}/{done + running + waiting:,} shards",
        f"{snapshot.actors:,} actors"
        if snapshot.actors
        else "waiting for nodes"
        if waiting
        else "",
        f"{snapshot.tokens_s:,.0f} tokens/s",
        f"{sum(snapshot.faults.values()):,} faults" if snapshot.faults else "",
        "" if snapshot.seconds_left is None else f"{duration(snapshot.seconds_left)} left",
    ]
    return " · ".join(filter(None, said))

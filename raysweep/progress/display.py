"""How far a generate stage is, for people: samples, shards, tokens a second, faults and time left.

A terminal has a bar that moves. Elsewhere, as in a job's log, a line is printed each minute, and at the end.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from raysweep.monitoring.snapshot import Snapshot
from raysweep.system.quantities import duration

LINE_EVERY_S = 60.0
TEXT_WIDTH = 88  # of everything but the bar, in a run of some ten thousand samples


@contextmanager
def show_progress(console: Console, samples: int) -> Iterator[Callable[[Snapshot], None]]:
    """Shows progress while the context lasts; gives the function to call with each snapshot."""
    shown = bar(console, samples) if console.is_terminal else print_lines(console, samples)
    with shown as show:
        yield show


@contextmanager
def bar(console: Console, samples: int) -> Iterator[Callable[[Snapshot], None]]:
    columns = (
        TextColumn("[bold]generate"),
        BarColumn(bar_width=max(6, min(40, console.width - TEXT_WIDTH))),
        MofNCompleteColumn(),
        TextColumn("samples · {task.fields[said]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=samples, said="waiting for actors")

        def show(snapshot: Snapshot) -> None:
            progress.update(task, completed=samples_done(snapshot), said=in_words(snapshot))

        yield show


@contextmanager
def print_lines(
    console: Console, samples: int, now: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Snapshot], None]]:
    """A line for the first snapshot, for one a minute, and for the last."""
    printed_at = float("-inf")
    unsaid: Snapshot | None = None

    def say(snapshot: Snapshot) -> None:
        done = f"{samples_done(snapshot):,}/{samples:,} samples"
        line = f"generate  {done} · {in_words(snapshot)}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)

    def show(snapshot: Snapshot) -> None:
        nonlocal printed_at, unsaid
        unsaid = snapshot
        if now() - printed_at >= LINE_EVERY_S:
            printed_at, unsaid = now(), None
            say(snapshot)

    try:
        yield show
    finally:
        if unsaid is not None:
            say(unsaid)


def samples_done(snapshot: Snapshot) -> int:
    return sum(engine.samples for engine in snapshot.engines)


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

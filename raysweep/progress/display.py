"""How far a generate stage is, for people: samples, shards, tokens per second, faults and time left.

A terminal shows a progress bar. Elsewhere, as in the log of a job, a line is printed once per minute and at
the end.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from raysweep.monitoring.snapshot import Snapshot
from raysweep.system.quantities import duration, plural

LINE_EVERY_S = 60.0
# Columns of everything but the bar, in a run of some ten thousand samples.
TEXT_WIDTH = 88


@contextmanager
def show_progress(console: Console, samples: int) -> Iterator[Callable[[Snapshot], None]]:
    """Show progress for the duration of the context. Gives the function to call with each snapshot.

    samples  those that are to be made; a snapshot may know of more
    """
    shown = bar(console, samples) if console.is_terminal else print_lines(console, samples)
    with shown as show:
        yield show


@contextmanager
def bar(console: Console, samples: int) -> Iterator[Callable[[Snapshot], None]]:
    columns = (
        TextColumn("[bold]generate"),
        BarColumn(bar_width=max(6, min(40, console.width - TEXT_WIDTH))),
        MofNCompleteColumn(),
        TextColumn("samples · {task.fields[state]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=samples, state="waiting for actors")

        def show(snapshot: Snapshot) -> None:
            whole = samples_in_all(snapshot, samples)
            state = snapshot_text(snapshot)
            progress.update(task, completed=samples_done(snapshot), total=whole, state=state)

        yield show


@contextmanager
def print_lines(
    console: Console, samples: int, now: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Snapshot], None]]:
    """Print a line for the first snapshot, for one per minute, and for the last."""
    printed_at = float("-inf")
    unprinted: Snapshot | None = None

    def print_line(snapshot: Snapshot) -> None:
        done = f"{samples_done(snapshot):,}/{samples_in_all(snapshot, samples):,} samples"
        line = f"generate  {done} · {snapshot_text(snapshot)}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)

    def show(snapshot: Snapshot) -> None:
        nonlocal printed_at, unprinted
        unprinted = snapshot
        if now() - printed_at >= LINE_EVERY_S:
            printed_at, unprinted = now(), None
            print_line(snapshot)

    try:
        yield show
    finally:
        if unprinted is not None:
            print_line(unprinted)


def samples_done(snapshot: Snapshot) -> int:
    return sum(engine.samples for engine in snapshot.engines)


def samples_in_all(snapshot: Snapshot, at_first: int) -> int:
    """Samples that are done, running or waiting; at least those that there were at first."""
    left = sum(engine.samples_left for engine in snapshot.engines)
    return max(at_first, samples_done(snapshot) + left)


def snapshot_text(snapshot: Snapshot) -> str:
    """Shards, actors, speed, faults and the time left, in one line."""
    engines = snapshot.engines
    done = sum(engine.shards_done for engine in engines)
    running = sum(engine.shards_running for engine in engines)
    waiting = sum(engine.shards_waiting for engine in engines)
    faults = sum(snapshot.faults.values())
    parts = [
        f"{done:,}/{done + running + waiting:,} shards",
        plural(snapshot.actors, "actor") if snapshot.actors else "",
        "waiting for nodes" if waiting and not snapshot.actors else "",
        f"{snapshot.tokens_s:,.0f} tokens/s",
        plural(faults, "fault") if faults else "",
        "" if snapshot.seconds_left is None else f"{duration(snapshot.seconds_left)} left",
    ]
    return " · ".join(filter(None, parts))

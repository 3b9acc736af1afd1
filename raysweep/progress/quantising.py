"""How far a prepare stage is: layers, and the time left at the speed so far.

A terminal shows one line that changes. Elsewhere, as in the log of a job, a line is printed at most once per
minute for each checkpoint.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from raysweep.system.quantities import duration

LINE_EVERY_S = 60.0
# Called with the name of a checkpoint, the number of layers that are done, and the number of all.
Show = Callable[[str, int, int], None]


@contextmanager
def show_layers(console: Console, now: Callable[[], float] = time.monotonic) -> Iterator[Show]:
    """Show progress for the duration of the context. Gives the function to call with each layer."""
    first: dict[str, tuple[float, int]] = {}  # when the first layers were told, and how many
    printed: dict[str, float] = {}

    def line(name: str, done: int, layers: int) -> str:
        since, before = first.setdefault(name, (now(), done))
        text = f"{name}: {done} of {layers} layers"
        if not before < done < layers:
            return text
        return f"{text} · {duration((now() - since) / (done - before) * (layers - done))} left"

    if console.is_terminal:
        with console.status("quantising") as status:
            yield lambda *progress: status.update(line(*progress))
        return

    def show(name: str, done: int, layers: int) -> None:
        text = line(name, done, layers)
        if now() - printed.get(name, float("-inf")) >= LINE_EVERY_S or done == layers:
            printed[name] = now()
            console.print(f"{'prepare':<10}{text}", soft_wrap=True, highlight=False, markup=False)

    yield show

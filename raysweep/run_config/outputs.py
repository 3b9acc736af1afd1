"""What is written for people: which traces can be read, and what a published bundle holds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traces:
    """Which traces the stage traces writes.

    engines   patterns of engines; empty: those on a frontier, and all with the full cache
    samples   traces of each question and engine; answers are written of all samples
    question  id of a question that is printed in the terminal instead; None writes the pages
    """

    engines: tuple[str, ...] = ()
    samples: int = 2
    question: str | None = None


@dataclass(frozen=True)
class Publish:
    """What the stage publish bundles.

    to       the folder or address of the bundle; None: `publish` in the run's folder
    traces   whether the pages of the stage traces are part of it
    samples  whether the samples are part of it
    license  the licence of the data, as the hub names it; None leaves it out
    """

    to: str | None = None
    traces: bool = False
    samples: bool = False
    license: str | None = None

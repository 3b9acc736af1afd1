"""Places that engines hold, and what may be done with one: begin it, hand it a task, give it back."""

import math
from dataclasses import dataclass, field

from raysweep.planning.gpu_options import Option
from raysweep.scheduling.nodes import Spot
from raysweep.scheduling.queues import EngineQueue, Task

# Of an actor's rows: samples that wait in it for a free row, and the least piece that is cut.
SPARE = 1 / 10


def spare(rows: int) -> int:
    return math.ceil(SPARE * rows)


@dataclass(eq=False)
class Place:
    """An actor of an engine: where it is, how many rows it decodes together, and what it is at.

    rows_divisor  by which the rows were fewer than modelled, for lack of memory, when it started
    wanted        samples that it could take on now
    """

    number: int
    queue: EngineQueue
    option: Option
    spot: Spot
    rows_divisor: int
    since: float
    wanted: int = 0
    begun: bool = False
    loaded: bool = False
    in_flight: dict[Task, None] = field(default_factory=dict)  # in the order of their handing out

    def __post_init__(self) -> None:
        self.wanted = self.full

    @property
    def rows(self) -> int:
        return max(1, self.option.speed.rows // self.rows_divisor)

    @property
    def full(self) -> int:
        """Samples that it takes on when it has nothing."""
        return self.rows + spare(self.rows)


@dataclass(frozen=True)
class Start:
    place: Place


@dataclass(frozen=True)
class RunTask:
    place: Place
    task: Task


@dataclass(frozen=True)
class Stop:
    place: Place


Action = Start | RunTask | Stop

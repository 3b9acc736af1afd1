"""Places that engines hold, and the three actions on one: start it, run a task on it, stop it."""

import math
from dataclasses import dataclass, field

from raysweep.planning.placements import Option
from raysweep.scheduling.nodes import Spot
from raysweep.scheduling.queues import EngineQueue, Task

# An actor holds this share of its rows as waiting samples, so that a free row is filled at once. No piece
# of a shard that is cut for it is smaller.
SPARE = 1 / 10


def spare(rows: int) -> int:
    return math.ceil(SPARE * rows)


@dataclass(eq=False)
class Place:
    """An actor of an engine: where it runs, how many rows it decodes together, and its tasks.

    rows_divisor  the modelled rows are divided by this, after earlier actors ran out of memory
    wanted        samples that it can take on now
    begun         its actor was started, which happens with its first task
    in_flight     its tasks, in the order in which they were handed out
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
    in_flight: dict[Task, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.wanted = self.full

    @property
    def rows(self) -> int:
        return max(1, self.option.speed.rows // self.rows_divisor)

    @property
    def full(self) -> int:
        """Samples that it takes on when it has none."""
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

"""The loop of a run: ask the schedule for actions, carry them out, tell the schedule what happened.

The same loop drives Ray actors and simulated ones, which are both a `World`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from raysweep.scheduling.loss_kinds import LossKind
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.places import Place, RunTask, Start, Stop
from raysweep.scheduling.queues import Task
from raysweep.scheduling.schedule import Schedule
from raysweep.scheduling.supply import Supply, idles
from raysweep.shard import Receipt


@dataclass(frozen=True)
class Loaded:
    """The engine of a place is ready.

    seconds  that its actor took to load it, without waiting for others; None if that is not known here
    """

    place: Place
    seconds: float | None = None


@dataclass(frozen=True)
class HasCapacity:
    """An actor has started nearly all of its samples and can take on more."""

    place: Place


@dataclass(frozen=True)
class Finished:
    """The samples of a task are in the store."""

    place: Place
    task: Task
    receipt: Receipt


@dataclass(frozen=True)
class Lost:
    """An actor was lost, and the tasks that it ran with it."""

    place: Place
    kind: LossKind
    reason: str


Event = Loaded | HasCapacity | Finished | Lost


class World(Protocol):
    """Actors, and the nodes they run on."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        ...

    def nodes(self) -> tuple[Node, ...]:
        """The live nodes. It is the same tuple object until something changes."""
        ...

    def start(self, place: Place) -> None:
        """Start a place's actor, which begins to load its engine."""
        ...

    def run(self, place: Place, task: Task) -> None:
        """Hand a task to a place, which may still be loading."""
        ...

    def stop(self, place: Place) -> None:
        """End a place's actor, with whatever it runs."""
        ...

    def wait(self) -> list[Event]:
        """The new events. Blocks until there is one, or for a moment."""
        ...

    def goes_on(self, schedule: Schedule) -> bool:
        """Whether to wait for capacity when work is left and no place is held."""
        ...


def run(
    schedule: Schedule,
    world: World,
    watch: Callable[[Schedule, Event | None], None],
    supply: Supply | None = None,
) -> None:
    """Run a schedule to its end, which has come when all is finished and `supply` has brought no more.

    watch  is called after each event of a place that is held, and with None after a wait without events.
           Events of places that were given back are ignored.
    """
    seen: tuple[Node, ...] = ()
    try:
        while True:
            nodes = world.nodes()
            if nodes is not seen:
                for place in schedule.see(nodes, world.now()):
                    world.stop(place)
                seen = nodes
            if supply is not None and supply.can_begin and idles(schedule):
                supply.idle(schedule, world.now())
            for action in schedule.decide(world.now()):
                _do(world, action)
            if not schedule.places and not (schedule.waits and world.goes_on(schedule)):
                return
            events = world.wait()
            for event in events:
                if event.place.number in schedule.places:
                    _take_in(schedule, world, event)
                    if supply is not None and isinstance(event, Finished):
                        supply.finished(schedule, event.task, world.now())
                    watch(schedule, event)
            if not events:
                watch(schedule, None)
    finally:
        for place in list(schedule.places.values()):
            world.stop(place)
            schedule.leave(place, world.now())


def _do(world: World, action: Start | RunTask | Stop) -> None:
    if isinstance(action, Start):
        world.start(action.place)
    elif isinstance(action, RunTask):
        world.run(action.place, action.task)
    else:
        world.stop(action.place)


def _take_in(schedule: Schedule, world: World, event: Event) -> None:
    if isinstance(event, Loaded):
        schedule.loaded(event.place, event.seconds)
    elif isinstance(event, HasCapacity):
        schedule.has_capacity(event.place)
    elif isinstance(event, Finished):
        schedule.finished(event.place, event.task, event.receipt)
    else:
        world.stop(event.place)
        schedule.lost(event.place, event.kind, event.reason, world.now())

"""Decisions to actions, actions to events: one loop for Ray actors and for the virtual clock."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from raysweep.scheduling.nodes import Node
from raysweep.scheduling.places import Place, RunTask, Start, Stop
from raysweep.scheduling.queues import Task
from raysweep.scheduling.schedule import Schedule
from raysweep.shard import Receipt


@dataclass(frozen=True)
class Loaded:
    place: Place


@dataclass(frozen=True)
class HasCapacity:
    """An actor has begun with nearly all that it was given, and could take on more."""

    place: Place


@dataclass(frozen=True)
class Finished:
    """A task's samples are in the store."""

    place: Place
    task: Task
    receipt: Receipt


@dataclass(frozen=True)
class Lost:
    """An actor is no more.

    kind  `load` (its engine), `actor` (its process died), `node`, `error` (its engine raised),
          `out_of_memory` (of its GPU), `hang`, or `storage` (its samples could not be written)
    """

    place: Place
    kind: str
    reason: str


Event = Loaded | HasCapacity | Finished | Lost


class World(Protocol):
    """Actors, and the machines they run on."""

    def now(self) -> float:
        """Seconds, from whatever beginning."""
        ...

    def nodes(self) -> tuple[Node, ...]:
        """The machines that are there now; the same tuple as long as nothing has changed."""
        ...

    def start(self, place: Place) -> None:
        """Begin to load a place's engine."""
        ...

    def run(self, place: Place, task: Task) -> None:
        """Hand a task to a place, which may be loading still."""
        ...

    def stop(self, place: Place) -> None:
        """End a place's actor, whatever it is at."""
        ...

    def wait(self) -> list[Event]:
        """What has happened; blocks until something has, or for a moment."""
        ...

    def goes_on(self, schedule: Schedule) -> bool:
        """Whether to wait for room, where there is work and no place."""
        ...


def run(schedule: Schedule, world: World, watch: Callable[[Schedule, Event | None], None]) -> None:
    """Run a schedule to its end; `watch` hears of each event that counts, and of each wait without one."""
    seen: tuple[Node, ...] = ()
    try:
        while True:
            nodes = world.nodes()
            if nodes is not seen:
                for place in schedule.see(nodes, world.now()):
                    world.stop(place)
                seen = nodes
            for action in schedule.decide(world.now()):
                _do(world, action)
            if not schedule.places and not (schedule.waits and world.goes_on(schedule)):
                return
            events = world.wait()
            for event in events:
                if event.place.number in schedule.places:  # else it is old news
                    _take_in(schedule, world, event)
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
        schedule.loaded(event.place)
    elif isinstance(event, HasCapacity):
        schedule.has_capacity(event.place)
    elif isinstance(event, Finished):
        schedule.finished(event.place, event.task, event.receipt)
    else:
        world.stop(event.place)
        schedule.lost(event.place, event.kind, event.reason, world.now())

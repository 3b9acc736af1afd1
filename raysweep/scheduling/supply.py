"""Where more work comes from while a schedule runs: what a run in rounds needs of the loop."""

from collections.abc import Iterator
from typing import Protocol

from raysweep.scheduling.queues import Task
from raysweep.scheduling.schedule import Schedule


class Supply(Protocol):
    """Its methods may add jobs to the schedule.

    can_begin  whether it has anything to say to an idle schedule
    """

    @property
    def can_begin(self) -> bool: ...

    def finished(self, schedule: Schedule, task: Task, now: float) -> None:
        """Take in that a task is finished. Its samples are in the store."""
        ...

    def idle(self, schedule: Schedule, now: float) -> None:
        """Take in that the schedule `idles`. This is called before places are given back."""
        ...


def idles(schedule: Schedule) -> bool:
    """Whether no engine would take one more place, though there is one or a place is to be given back."""
    if schedule.draining:
        return False
    ends = any(not one.in_flight and not one.queue.waiting_samples for one in schedule.to_feed)
    return (ends or _has_room(schedule)) and not schedule.paying()


def _has_room(schedule: Schedule) -> bool:
    if schedule.most_places is not None and len(schedule.places) >= schedule.most_places:
        return False
    needs = {queue.options[0].need for queue in schedule.queues}
    return any(schedule.capacity.find(need) for need in needs)


def tasks_of(schedule: Schedule, benchmark: str) -> Iterator[Task]:
    """The tasks of a benchmark that wait or run."""
    for queue in schedule.queues:
        yield from (
            t for t in (*queue.waiting, *queue.quarantine) if t.shard.benchmark == benchmark
        )
    for place in schedule.places.values():
        yield from (task for task in place.in_flight if task.shard.benchmark == benchmark)

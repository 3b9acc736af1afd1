"""The decisions: which engine starts where, what an actor runs next, and when its place is given back.

Engines start longest-remaining-work first, those that no place holds before replicas; a replica starts
where there is room and the others would be at the waiting work for longer than it takes to load. An
engine too large for what is free keeps the emptiest node from filling up again. Near the end of an
engine's work its places get fair pieces of what is left. No clock is read here and nobody is called:
what is to be done comes out as actions, what has happened goes in as events (`loop`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator

from raysweep.planning.gpu_options import Need, Option
from raysweep.planning.jobs import Job
from raysweep.planning.measured import Learnt
from raysweep.scheduling.losses import Failure, Loss, Losses
from raysweep.scheduling.nodes import Node, Room, Spot
from raysweep.scheduling.places import Action, Place, RunTask, Start, Stop, spare
from raysweep.scheduling.queues import Amount, EngineQueue, Task
from raysweep.shard import Receipt

SHY_S = 20.0  # a node whose actors were lost is left alone so long: Ray takes 15 s to call it dead
TAIL = 3.0  # long traces for which the end of an engine's work has to leave time, by benchmarks.scheduler


class Schedule:
    """All engines with work, the places they hold, and the room that is left.

    most_places  that are held at a time, None for as many as there is room for
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        learnt: Learnt,
        max_attempts: int,
        most_places: int | None = None,
    ):
        self.learnt, self.most_places = learnt, most_places
        self.queues: list[EngineQueue] = []
        for job in jobs:
            queue = EngineQueue(job.engine, job.options, learnt)
            queue.add(Task(shard) for shard in job.shards)
            self.queues.append(queue)
        self.losses = Losses(max_attempts)
        self.room = Room()
        self.places: dict[int, Place] = {}
        self.started = 0
        self._held = self.most_held = 0
        self.gpu_s = 0.0  # of places that were given back
        self.warnings: set[str] = set()
        self.draining = False  # nothing new is begun
        self._shy: dict[str, float] = {}
        self._hungry: dict[Place, None] = {}
        self._may_start = True

    # What is to be done.

    def decide(self, now: float) -> Iterator[Action]:
        """What is to be done at this moment; each action is taken for done."""
        self._trust_again(now)
        while self._may_start or self._hungry:
            if self._may_start:
                self._may_start = False
                self._fill_room(now)
            has_capacity, self._hungry = self._hungry, {}
            for place in has_capacity:
                yield from self._feed(place)
                if not place.in_flight:
                    self.leave(place, now)
                    if place.begun:
                        yield Stop(place)

    @property
    def waits(self) -> bool:
        """Whether there is work that nobody is at, and somebody is to be."""
        return not self.draining and any(queue.waiting_samples for queue in self.queues)

    @property
    def done(self) -> Amount:
        """What has come back, of all engines."""
        total = Amount()
        for queue in self.queues:
            for amount in queue.done.values():
                total.add(amount.shards, amount.samples, amount.tokens)
        return total

    @property
    def failures(self) -> list[Failure]:
        return self.losses.failures

    @property
    def faults(self) -> Counter[str]:
        """Places that were lost, by kind."""
        return self.losses.faults

    def demand(self) -> list[Need]:
        """What the engines would take if there were room for all that pays, largest work first."""
        needs = []
        for queue in sorted(self.queues, key=priority, reverse=True):
            places = queue.actors
            while self._pays(queue, places):
                places += 1
            needs += [queue.options[0].need] * places
        return needs[: self.most_places]

    # What has happened.

    def see(self, nodes: Iterable[Node], now: float) -> list[Place]:
        """Take in which nodes are there; the places that are gone with those that are not."""
        gone = self.room.see(nodes)
        self._may_start = True
        lost = [place for place in self.places.values() if place.spot.node_id in gone]
        for place in lost:
            self.lost(place, "node", "its node is gone", now)
        return lost

    def loaded(self, place: Place) -> None:
        place.loaded = True

    def has_capacity(self, place: Place) -> None:
        """A place has begun with nearly all that it was given."""
        place.wanted = max(place.wanted, spare(place.rows))
        self._hungry[place] = None

    def finished(self, place: Place, task: Task, receipt: Receipt) -> None:
        """A task came back; the engine works."""
        del place.in_flight[task]
        queue, shard = place.queue, task.shard
        queue.end(task)
        queue.finish(task, receipt.tokens)
        self.warnings.update(receipt.warnings)
        place.loaded = True
        self.losses.succeeded(queue)
        engine_id, device = shard.engine.engine_id, place.spot.need.kind
        self.learnt.note(
            engine_id, shard.benchmark, task.samples, receipt.tokens, receipt.engine_s, device
        )
        if not place.in_flight:
            place.wanted = place.full
        self._hungry[place] = None

    def lost(self, place: Place, kind: str, reason: str, now: float) -> None:
        """A place is no more, and what it was at runs again elsewhere."""
        tasks, node_id = tuple(place.in_flight), place.spot.node_id
        self.leave(place, now)
        if kind == "node":
            self._shy[node_id] = now + SHY_S
        loss = Loss(tasks, node_id, kind, reason, place.loaded, place.rows_divisor, place.since)
        self.losses.take_in(place.queue, loss, now)
        self.draining |= bool(self.losses.stopped)
        for other in self.places.values():
            if other.queue is place.queue:
                self._hungry[other] = None

    def leave(self, place: Place, now: float) -> None:
        """Give back a place; whatever it is at is nobody's then."""
        del self.places[place.number]
        self._held -= place.begun
        self._hungry.pop(place, None)
        place.queue.actors -= 1
        for task in place.in_flight:
            place.queue.end(task)
        place.in_flight.clear()
        self.gpu_s += (now - place.since) * place.spot.need.gpus
        self.room.give(place.spot)
        self._may_start = True

    # Starting.

    def _trust_again(self, now: float) -> None:
        """Use nodes again that have been left alone for long enough."""
        for node_id in [node_id for node_id, until in self._shy.items() if until <= now]:
            del self._shy[node_id]
            self._may_start = True

    def _fill_room(self, now: float) -> None:
        """Take places for the engines that have most work waiting; they begin with their first task."""
        if self.draining:
            return
        while self.most_places is None or len(self.places) < self.most_places:
            found = self._next(set(self._shy))
            if found is None:
                return
            queue, option, spot = found
            self.room.take(spot)
            queue.actors += 1
            self.started += 1
            place = Place(self.started, queue, option, spot, queue.rows_divisor, now)
            self.places[place.number] = place
            self._hungry[place] = None

    def _next(self, shy: set[str]) -> tuple[EngineQueue, Option, Spot] | None:
        """The engine that is to start next, how, and where; None if none has work and room."""
        reserved: set[str] = set()
        full: set[object] = set()  # needs without room
        for queue in sorted(self._paying(), key=priority, reverse=True):
            for option in queue.options:
                if option.need in full:
                    continue
                spot = self._spot(queue, option, shy | reserved)
                if spot:
                    return queue, option, spot
                full.add(option.need)
                if option.need.gpus > 1 and (not queue.actors or not reserved):
                    node = self.room.emptiest(option.need, shy | reserved)
                    reserved |= {node} if node else set()
        return None

    def _spot(self, queue: EngineQueue, option: Option, avoid: set[str]) -> Spot | None:
        """Room for an engine, where it has failed to load only if there is no other."""
        spot = self.room.find(option.need, avoid | queue.bad_nodes)
        return spot or (self.room.find(option.need, avoid) if queue.bad_nodes else None)

    def _paying(self) -> list[EngineQueue]:
        return [queue for queue in self.queues if self._pays(queue, queue.actors)]

    def _pays(self, queue: EngineQueue, places: int) -> bool:
        """Whether one more place beside so many would begin with its work before that is done."""
        if not queue.waiting_samples or not places:
            return queue.waiting_samples > 0
        option = queue.options[0]
        if queue.waiting:
            unfed = queue.waiting_samples > places * spare(option.speed.rows)
        else:
            unfed = len(queue.suspects) > places - self._at_work(queue)
        return unfed and queue.waiting_s(option) > places * option.speed.load_s

    def _at_work(self, queue: EngineQueue) -> int:
        return sum(place.queue is queue and bool(place.in_flight) for place in self.places.values())

    # Feeding.

    def _feed(self, place: Place) -> Iterator[Start | RunTask]:
        """Hand out tasks, and in smaller pieces as the queue runs out.

        (Guided self-scheduling: Polychronopoulos and Kuck, IEEE Transactions on Computers 36, 1987.)
        """
        queue, least = place.queue, spare(place.rows)
        while place.wanted > 0 and not self.draining:
            share = math.ceil(queue.waiting_samples / queue.actors)
            task = queue.take(max(share, least), place.in_flight)
            if task is None:
                return
            if not place.begun:
                yield self._begin(place)
            place.in_flight[task] = None
            place.wanted -= task.samples
            queue.begin(task)
            yield RunTask(place, task)

    def _begin(self, place: Place) -> Start:
        place.begun, self._held = True, self._held + 1
        self.most_held = max(self.most_held, self._held)
        return Start(place)


def priority(queue: EngineQueue) -> tuple[bool, float]:
    """Engines that no place holds go first; then those that would be done last, long traces included."""
    option = queue.options[0]
    left_s = queue.waiting_s(option) / (queue.actors + 1)
    return queue.actors == 0, left_s + TAIL * queue.longest_s(option)

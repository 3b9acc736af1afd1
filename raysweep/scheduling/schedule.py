"""The decisions: which engine starts where, what an actor runs next, and when its place is given back.

Engines start in the order of their remaining work, longest first, and an engine without a place goes before
a replica. A replica starts if there is capacity for it and the waiting work would keep the other places busy
for longer than the replica takes to load. For an engine that needs more free GPUs than any node has, the
emptiest node is reserved. Near the end of an engine's work its places get fair pieces of the rest.
This module reads no clock and calls no actor. Decisions come out as actions, and events go in (`loop`).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from raysweep.planning.jobs import Job
from raysweep.planning.loads import LoadTime
from raysweep.planning.measured import Learnt, kind_of
from raysweep.planning.placements import Need, Option
from raysweep.scheduling.loss_kinds import LossKind
from raysweep.scheduling.losses import Failure, Loss, Losses
from raysweep.scheduling.nodes import Capacity, Node, Spot
from raysweep.scheduling.places import Action, Place, RunTask, Start, Stop, spare
from raysweep.scheduling.priority import pays, priority
from raysweep.scheduling.queues import Amount, EngineQueue, Task
from raysweep.shard import Receipt

# Seconds for which a node gets no actor after one was lost with it. Ray takes 15 s to call a node dead.
COOL_DOWN_S = 20.0


class Schedule:
    """All engines with work, the places they hold, and the free capacity.

    most_places  places held at a time at most, None for as many as the nodes hold
    gpu_s_of     GPU seconds of the places that were given back, by kind of GPU
    loads        how long actors took to load, by kind of GPU and engine id
    draining     no more work is started
    stopped      why no more work may start, or "" if it may

    to_feed      places that may get work, or are given back if there is none for them

    A node that is cooling down gets no actor until the time that is kept with its id.
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
        self.by_engine: dict[str, EngineQueue] = {}
        self.losses = Losses(max_attempts)
        self.capacity = Capacity()
        self.places: dict[int, Place] = {}
        self.started = 0
        self._held = self.most_held = 0
        self.gpu_s_of: dict[str, float] = defaultdict(float)
        self.loads: dict[tuple[str, str], LoadTime] = defaultdict(LoadTime)
        self.warnings: set[str] = set()
        self.draining = False
        self._cooling_down: dict[str, float] = {}
        self.to_feed: dict[Place, None] = {}
        self._stopped = ""
        self.add(jobs)

    def add(self, jobs: Iterable[Job]) -> None:
        """Take in work, also while other work runs."""
        for job in jobs:
            engine_id = job.engine.engine_id
            if engine_id not in self.by_engine:
                queue = EngineQueue(job.engine, job.options, self.learnt)
                self.by_engine[engine_id] = queue
                self.queues.append(queue)
            self.by_engine[engine_id].rank = job.rank
            self.by_engine[engine_id].add(Task(shard) for shard in job.shards)
        self.to_feed = dict.fromkeys(self.places.values())
        self._may_start = True

    def stop(self, why: str) -> None:
        """Start no more work. What runs is finished."""
        self._stopped = self._stopped or why
        self.draining = True

    # Decisions.

    def decide(self, now: float) -> Iterator[Action]:
        """The actions to carry out now. Each counts as done once it is yielded."""
        self._end_cool_downs(now)
        while self._may_start or self.to_feed:
            if self._may_start:
                self._may_start = False
                self._take_places(now)
            to_feed, self.to_feed = self.to_feed, {}
            for place in to_feed:
                yield from self._feed(place)
                if not place.in_flight:
                    self.leave(place, now)
                    if place.begun:
                        yield Stop(place)

    @property
    def waits(self) -> bool:
        """Whether work waits that may still be started."""
        return not self.draining and any(queue.waiting_samples for queue in self.queues)

    @property
    def stopped(self) -> str:
        return self.losses.stopped or self._stopped

    @property
    def gpu_s(self) -> float:
        """GPU seconds of the places that were given back."""
        return sum(self.gpu_s_of.values())

    @property
    def done(self) -> Amount:
        """The finished work of all engines."""
        total = Amount()
        for queue in self.queues:
            for amount in queue.done.values():
                total += amount
        return total

    @property
    def failures(self) -> list[Failure]:
        return self.losses.failures

    @property
    def faults(self) -> Counter[LossKind]:
        """Places that were lost, by kind."""
        return self.losses.faults

    def demand(self) -> list[Need]:
        """The needs of all places that would pay if the nodes had the capacity, most work first."""
        needs = []
        for queue in sorted(self.queues, key=priority, reverse=True):
            places = queue.actors
            while self._pays(queue, places):
                places += 1
            needs += [queue.options[0].need] * places
        return needs[: self.most_places]

    # Events.

    def see(self, nodes: Iterable[Node], now: float) -> list[Place]:
        """Note which nodes are alive. Gives the places that were lost with nodes that have gone."""
        gone = self.capacity.see(nodes)
        self._may_start = True
        lost = [place for place in self.places.values() if place.spot.node_id in gone]
        for place in lost:
            self.lost(place, "node", "its node is gone", now)
        return lost

    def loaded(self, place: Place, seconds: float | None = None) -> None:
        """The engine of a place is ready, and has loaded for so many seconds, if that is known.

        An actor that fails later shows that it was ready, without its seconds.
        """
        if seconds is not None:
            key = place.spot.need.kind, place.queue.engine.engine_id
            self.loads[key] += LoadTime(1, seconds)
        place.loaded = True

    def has_capacity(self, place: Place) -> None:
        """A place has started nearly all of its samples."""
        place.wanted = max(place.wanted, spare(place.rows))
        self.to_feed[place] = None

    def finished(self, place: Place, task: Task, receipt: Receipt) -> None:
        """A place has finished a task, so its engine works."""
        del place.in_flight[task]
        queue, shard = place.queue, task.shard
        queue.end(task)
        queue.finish(task, receipt.tokens)
        self.warnings.update(receipt.warnings)
        place.loaded = True
        self.losses.succeeded(queue)
        self.learnt.note(
            shard.engine.engine_id,
            kind_of(shard),
            task.samples,
            receipt.tokens,
            receipt.engine_s,
            place.spot.need.kind,
            receipt.kept_tokens,
        )
        if not place.in_flight:
            place.wanted = place.full
        self.to_feed[place] = None

    def lost(self, place: Place, kind: LossKind, reason: str, now: float) -> None:
        """A place was lost, and `losses` decides on its tasks."""
        tasks, node_id = tuple(place.in_flight), place.spot.node_id
        self.leave(place, now)
        if kind == "node":
            self._cooling_down[node_id] = now + COOL_DOWN_S
        loss = Loss(tasks, node_id, kind, reason, place.loaded, place.rows_divisor, place.since)
        self.losses.take_in(place.queue, loss, now)
        self.draining |= bool(self.losses.stopped)
        for other in self.places.values():
            if other.queue is place.queue:
                self.to_feed[other] = None

    def leave(self, place: Place, now: float) -> None:
        """Give back a place. The caller keeps what it was running."""
        del self.places[place.number]
        self._held -= place.begun
        self.to_feed.pop(place, None)
        place.queue.actors -= 1
        for task in place.in_flight:
            place.queue.end(task)
        place.in_flight.clear()
        need = place.spot.need
        self.gpu_s_of[need.kind] += (now - place.since) * need.gpus
        self.capacity.give(place.spot)
        self._may_start = True

    # Starting.

    def _end_cool_downs(self, now: float) -> None:
        """Use nodes again whose cool-down has ended."""
        for node_id in [node_id for node_id, until in self._cooling_down.items() if until <= now]:
            del self._cooling_down[node_id]
            self._may_start = True

    def _take_places(self, now: float) -> None:
        """Take places for the engines with most waiting work. An actor starts with its first task."""
        if self.draining:
            return
        while self.most_places is None or len(self.places) < self.most_places:
            found = self._next(set(self._cooling_down))
            if found is None:
                return
            queue, option, spot = found
            self.capacity.take(spot)
            queue.actors += 1
            self.started += 1
            place = Place(self.started, queue, option, spot, queue.rows_divisor, now)
            self.places[place.number] = place
            self.to_feed[place] = None

    def _next(self, avoid: set[str]) -> tuple[EngineQueue, Option, Spot] | None:
        """The engine that starts next, its option, and its spot. None if no engine can start."""
        reserved: set[str] = set()
        unmet: set[Need] = set()
        for queue in sorted(self.paying(), key=priority, reverse=True):
            for option in queue.options:
                if option.need in unmet:
                    continue
                spot = self._spot(queue, option, avoid | reserved)
                if spot:
                    return queue, option, spot
                unmet.add(option.need)
                if option.need.gpus > 1 and (not queue.actors or not reserved):
                    node = self.capacity.emptiest(option.need, avoid | reserved)
                    reserved |= {node} if node else set()
        return None

    def _spot(self, queue: EngineQueue, option: Option, avoid: set[str]) -> Spot | None:
        """A spot for an engine. Nodes on which it failed to load are the last choice."""
        spot = self.capacity.find(option.need, avoid | queue.bad_nodes)
        return spot or (self.capacity.find(option.need, avoid) if queue.bad_nodes else None)

    def paying(self) -> list[EngineQueue]:
        """The engines for which one more place would pay."""
        return [queue for queue in self.queues if self._pays(queue, queue.actors)]

    def _pays(self, queue: EngineQueue, places: int) -> bool:
        return pays(queue, places, lambda: self._busy_places(queue))

    def _busy_places(self, queue: EngineQueue) -> int:
        return sum(place.queue is queue and bool(place.in_flight) for place in self.places.values())

    # Handing out tasks.

    def _feed(self, place: Place) -> Iterator[Start | RunTask]:
        """Hand tasks to a place, in smaller pieces as the queue runs out.

        This is guided self-scheduling (Polychronopoulos and Kuck, IEEE Transactions on Computers 36, 1987).
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

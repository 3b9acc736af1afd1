"""Run shards on Ray actors until none is left: the only module that knows actors.

One Ray call is one shard; the actor writes the samples, only a receipt comes back. Ray's own retries are
off: a killed node burns them before Ray calls it dead, so lost shards are queued again here.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError

from actors.engine_actor import EngineActor, Receipt
from raysweep.schedule import EngineQueue, Failure, Schedule
from raysweep.spec import Cluster, Generation, Shard

POLL_S = 0.5


@dataclass(frozen=True)
class Outcome:
    """What a generate stage did: faults are attempts that were lost and made again."""

    shards: int
    samples: int
    tokens: int
    wall_s: float
    faults: int
    failures: tuple[Failure, ...]


@dataclass(eq=False)
class Place:
    """A running actor and the shards it is at."""

    queue: EngineQueue
    actor: Any
    in_flight: dict[ray.ObjectRef, Shard] = field(default_factory=dict)


def generate(
    shards: tuple[Shard, ...],
    store_root: str,
    generation: Generation,
    cluster: Cluster,
    finished: Callable[[Receipt], None],
) -> Outcome:
    """Run all shards; `finished` hears of each as it is published."""
    with _ray(cluster):
        return _Driver(shards, store_root, generation, cluster, finished).run()


class _Driver:
    """The loop: fill places with engines, engines with shards, and hear what comes back."""

    def __init__(
        self,
        shards: tuple[Shard, ...],
        store_root: str,
        generation: Generation,
        cluster: Cluster,
        finished: Callable[[Receipt], None],
    ):
        self.schedule = Schedule(shards, generation.max_attempts)
        self.store_root = store_root
        self.generation = generation
        self.cluster = cluster
        self.finished = finished
        self.places: list[Place] = []
        self.receipts: list[Receipt] = []
        self.faults = 0

    def run(self) -> Outcome:
        started = time.perf_counter()
        while True:
            self._start_actors()
            self._feed_actors()
            if not self.places:
                break
            self._hear()
            self._retire_idle()
        return Outcome(
            shards=len(self.receipts),
            samples=sum(receipt.samples for receipt in self.receipts),
            tokens=sum(receipt.tokens for receipt in self.receipts),
            wall_s=time.perf_counter() - started,
            faults=self.faults,
            failures=tuple(self.schedule.failures),
        )

    @property
    def _depth(self) -> int:
        """Shards an actor holds at once: enough to fill its batch while one of them ends."""
        a_shard = self.generation.shard_questions * self.generation.shard_samples
        return 1 + -(-self.generation.max_rows // a_shard)

    def _start_actors(self) -> None:
        while len(self.places) < self.cluster.actors:
            queue = self.schedule.next_engine()
            if queue is None:
                return
            queue.actors += 1
            self.places.append(Place(queue, self._make_actor(queue)))
            self._feed_actors()

    def _make_actor(self, queue: EngineQueue) -> Any:
        options = ray.remote(EngineActor).options(
            name=f"{queue.engine.engine_id}#{time.time_ns()}",
            num_cpus=self.cluster.cpus_per_actor,
            num_gpus=self.cluster.gpus_per_actor,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=self._depth,
        )
        return options.remote(queue.engine, self.store_root, self.generation.max_rows)

    def _feed_actors(self) -> None:
        for place in self.places:
            while place.queue.waiting and len(place.in_flight) < self._depth:
                shard = place.queue.waiting.popleft()
                place.in_flight[place.actor.run_shard.remote(shard)] = shard

    def _hear(self) -> None:
        """Wait for some news and take it in."""
        references = [reference for place in self.places for reference in place.in_flight]
        ready, _ = ray.wait(references, num_returns=1, timeout=POLL_S)
        for reference in ready:
            place = next((p for p in self.places if reference in p.in_flight), None)
            if place is not None:  # its actor may have died with an earlier piece of this news
                self._take(place, reference)

    def _take(self, place: Place, reference: ray.ObjectRef) -> None:
        try:
            receipt = ray.get(reference)
        except RayActorError as error:
            self._lose(place, error)
        except Exception as error:
            self.faults += 1
            self.schedule.failed(place.queue, place.in_flight.pop(reference), _reason(error))
        else:
            place.in_flight.pop(reference)
            self.schedule.succeeded(place.queue)
            self.receipts.append(receipt)
            self.finished(receipt)

    def _lose(self, place: Place, error: RayActorError) -> None:
        """Bury an actor; receipts that it had already sent count, the rest runs again."""
        for reference in ray.wait(list(place.in_flight), num_returns=len(place.in_flight), timeout=0)[0]:
            try:
                receipt = ray.get(reference)
            except Exception:
                continue
            place.in_flight.pop(reference)
            self.receipts.append(receipt)
            self.finished(receipt)
        self.faults += 1
        self.schedule.actor_died(place.queue, place.in_flight.values(), _reason(error))
        place.in_flight.clear()
        self._release(place)

    def _retire_idle(self) -> None:
        for place in list(self.places):
            if not place.in_flight and not place.queue.waiting:
                self._release(place)

    def _release(self, place: Place) -> None:
        place.queue.actors -= 1
        self.places.remove(place)
        ray.kill(place.actor)


def _reason(error: Exception) -> str:
    """The one line of a Ray error that says what happened: its last, and in a traceback the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@contextmanager
def _ray(cluster: Cluster) -> Iterator[None]:
    """A connection to the cluster, or a local Ray for as long as it is needed."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    options: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
    if cluster.address == "local":
        cpus = max(1, round(cluster.actors * cluster.cpus_per_actor))
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, **options)
    else:
        ray.init(address=cluster.address, **options)
    try:
        yield
    finally:
        ray.shutdown()

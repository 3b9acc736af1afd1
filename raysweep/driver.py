"""Run shards on Ray actors until none is left: the only module that knows actors.

One Ray call is one shard; the actor writes the samples, only a receipt comes back. Ray's own retries are
off: a killed node burns them before Ray calls it dead, so lost shards are queued again here. Whatever
goes wrong with a shard costs its actor, whose engine may be in any state: a fresh one goes on.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from actors.engine_actor import EngineActor, Receipt
from raysweep.machine import affordable_actors
from raysweep.plan import longest_sequence
from raysweep.ray_session import ray_session
from raysweep.run_config import Cluster, Generation
from raysweep.schedule import EngineQueue, Failure, Schedule
from raysweep.spec import EngineSpec, Shard
from raysweep.store import Store

# Ray only hides the GPUs of an actor that has some; one that has none would use the first.
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}

# To be set before vLLM is imported: in the actor's own process, on one thread, quietly.
VLLM = {
    "OMP_NUM_THREADS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


@dataclass(frozen=True)
class Outcome:
    """What a generate stage did; `faults` are actors that were lost with work on them.

    actors    the most that ran at a time
    warnings  what is to be known of engines as they were loaded
    """

    shards: int
    samples: int
    tokens: int
    wall_s: float
    faults: int
    actors: int
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...] = ()


@dataclass(eq=False)
class Place:
    """A running actor, the call that ends once its engine is loaded, and the shards it is at."""

    queue: EngineQueue
    actor: Any
    loaded: ray.ObjectRef
    in_flight: dict[ray.ObjectRef, Shard] = field(default_factory=dict)


def generate(
    shards: Iterable[Shard],
    store_root: str,
    generation: Generation,
    cluster: Cluster,
    finished: Callable[[Receipt], None],
    ended: Callable[[Outcome], None] = lambda outcome: None,
) -> Outcome:
    """Run all shards; `finished` hears of each as it is published.

    `ended` hears the outcome, also where an interruption or a fault ends the work before its time.
    Raises ConfigError where the cluster can hold no actor.
    """
    shards = tuple(shards)
    schedule = Schedule(shards, generation.max_attempts)
    store = Store(store_root).absolute
    cluster = replace(cluster, actors=cluster.actors or affordable_actors(len(shards)))
    with ray_session(cluster):
        driver = _Driver(schedule, store, generation, cluster, finished, ended, longest(shards))
        return driver.run()


@dataclass(eq=False)
class _Driver:
    """The loop: feed shards to actors, start actors in free places, hear what comes back."""

    schedule: Schedule
    store: Store
    generation: Generation
    cluster: Cluster
    finished: Callable[[Receipt], None]
    ended: Callable[[Outcome], None]
    longest: Mapping[str, int]
    places: list[Place] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    faults: int = 0
    most_places: int = 0

    def run(self) -> Outcome:
        started = time.perf_counter()
        try:
            self._start_actors()
            while self.places:
                self._hear()
                self._feed_actors()
                self._retire_idle()
                self._start_actors()
        finally:
            for place in list(self.places):
                self._release(place)
            outcome = self._outcome(time.perf_counter() - started)
            self.ended(outcome)
        return outcome

    def _outcome(self, wall_s: float) -> Outcome:
        return Outcome(
            shards=len(self.receipts),
            samples=sum(receipt.samples for receipt in self.receipts),
            tokens=sum(receipt.tokens for receipt in self.receipts),
            wall_s=wall_s,
            faults=self.faults,
            actors=self.most_places,
            failures=tuple(self.schedule.failures),
            warnings=tuple(
                sorted({said for receipt in self.receipts for said in receipt.warnings})
            ),
        )

    @property
    def _depth(self) -> int:
        """Shards an actor holds at once: enough to fill its batch while one of them ends."""
        a_shard = self.generation.shard_questions * self.generation.shard_samples
        return 1 + -(-self.generation.max_rows // a_shard)

    def _start_actors(self) -> None:
        """Fill free places with the engines that have most work waiting."""
        while len(self.places) < (self.cluster.actors or 1):
            queue = self.schedule.next_engine()
            if queue is None:
                return
            queue.actors += 1
            actor = self._make_actor(queue)
            place = Place(queue, actor, actor.__ray_ready__.remote())
            self.places.append(place)
            self.most_places = max(self.most_places, len(self.places))
            self._feed(place)

    def _make_actor(self, queue: EngineQueue) -> Any:
        options = ray.remote(EngineActor).options(
            name=f"{queue.engine.engine_id}#{time.time_ns()}",
            num_cpus=self.cluster.cpus_per_actor,
            num_gpus=self.cluster.gpus_per_actor,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=self._depth,
            runtime_env={"env_vars": environment(queue.engine, self.cluster)},
        )
        return options.remote(
            queue.engine,
            self.store.root,
            self.generation.max_rows,
            self.longest[queue.engine.engine_id],
            self.cluster.gpus_per_actor,
        )

    def _feed_actors(self) -> None:
        for place in self.places:
            self._feed(place)

    def _feed(self, place: Place) -> None:
        while len(place.in_flight) < self._depth:
            shard = place.queue.take(beside=place.in_flight.values())
            if shard is None:
                return
            place.in_flight[place.actor.run_shard.remote(shard)] = shard

    def _hear(self) -> None:
        """Wait for one call to end, and take in how it did."""
        calls = {call: place for place in self.places for call in place.in_flight}
        for call in ray.wait(list(calls), num_returns=1)[0]:
            try:
                self._receive(calls[call], call)
            except RayError as error:
                self._lose(calls[call], error)

    def _receive(self, place: Place, call: ray.ObjectRef) -> None:
        """Count a finished call; raises RayError if it failed."""
        receipt = ray.get(call)
        place.in_flight.pop(call)
        self.schedule.succeeded(place.queue)
        self.receipts.append(receipt)
        self.finished(receipt)

    def _lose(self, place: Place, error: RayError) -> None:
        """Give up an actor; what it had finished counts, the rest runs again."""
        for call in list(place.in_flight):
            if _succeeded(call):
                self._receive(place, call)
        self.faults += 1
        lost = self.schedule.actor_lost if _succeeded(place.loaded) else self.schedule.load_failed
        lost(place.queue, place.in_flight.values(), reason_of(error))
        self._release(place)

    def _retire_idle(self) -> None:
        """Give back the places of engines that have no work left to start."""
        for place in list(self.places):
            if not place.in_flight:
                self._release(place)

    def _release(self, place: Place) -> None:
        place.queue.actors -= 1
        self.places.remove(place)
        ray.kill(place.actor)


def longest(shards: Iterable[Shard]) -> dict[str, int]:
    """For each engine, by its id: tokens of the longest sequence that its shards may come to."""
    found: dict[str, int] = {}
    for shard in shards:
        key = shard.engine.engine_id
        found[key] = max(found.get(key, 0), longest_sequence(shard))
    return found


def environment(engine: EngineSpec, cluster: Cluster) -> dict[str, str]:
    """Environment variables for an actor; vLLM's own, where the user has set them, count for it too."""
    gpus = {} if cluster.gpus_per_actor else NO_GPU
    if engine.backend != "vllm":
        return dict(gpus)
    users = {name: value for name, value in os.environ.items() if name.startswith("VLLM_")}
    return {**VLLM, **users, **gpus}


def _succeeded(call: ray.ObjectRef) -> bool:
    """Whether a call has ended, and well."""
    if not ray.wait([call], timeout=0)[0]:
        return False
    try:
        ray.get(call)
    except RayError:
        return False
    return True


def reason_of(error: RayError) -> str:
    """What happened, in one line: the actor's own exception, or the last line that Ray says."""
    if isinstance(error, RayTaskError):
        return " ".join(f"{type(error.cause).__name__}: {error.cause}".split())
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

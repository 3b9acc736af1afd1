"""The world of Ray actors: the only module, beside prepare, that knows actors.

One Ray call is one shard; the actor writes the samples, only a receipt comes back, and a second call tells
when the actor has begun with nearly all that it was given. Ray's own retries are off: a killed node burns
them before Ray calls it dead, so what is lost is queued again by the schedule. Actors are placed on the
nodes that the schedule has chosen: what it decides is what happens.
"""

import math
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.engine_actor import EngineActor
from raysweep.driver.head_watch import ClusterView
from raysweep.driver.ray_errors import kind_of, reason_of
from raysweep.driver.ray_nodes import announce, live_nodes
from raysweep.driver.ray_session import NO_GPU
from raysweep.errors import ClusterLost
from raysweep.planning.gpu_options import Need
from raysweep.run_config import Cluster
from raysweep.scheduling.loop import Event, Finished, HasCapacity, Loaded, Lost
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.places import Place, spare
from raysweep.scheduling.queues import Task
from raysweep.scheduling.schedule import Schedule
from raysweep.scheduling.watchdog import Watchdog
from raysweep.shard import Shard
from raysweep.spec import EngineSpec
from raysweep.storage.lease import LeaseLost
from raysweep.storage.store import Store

MOMENT_S = 1.0  # that is waited for something to happen
ANNOUNCE_EVERY_S = 10.0
PATIENCE_S = 120.0  # for room, where nodes are gone and none are known to come


# To be set before vLLM is imported: in the actor's own process, on one thread, quietly.
VLLM = {
    "OMP_NUM_THREADS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}

EventOf = Callable[[Any], Event | None]  # of what a call has returned


class RayWorld:
    """Actors of a Ray that runs; a `scheduling.loop.World`."""

    def __init__(
        self, store: Store, cluster: Cluster, longest: Mapping[str, int], hang_s: float = math.inf
    ):
        self.store, self.cluster, self.longest = store, cluster, longest
        self.watchdog = Watchdog(hang_s)
        self.session = uuid.uuid4().hex[:6]
        self.actors: dict[int, Any] = {}
        self.asked: set[int] = set()  # places that will say when they are has_capacity
        self.heard: SimpleQueue[tuple[Place, EventOf, Future]] = SimpleQueue()
        self.announced: list[Need] = []
        self.view = ClusterView(partial(live_nodes, cluster))
        self._announced_at = self._room_at = time.monotonic()

    def now(self) -> float:
        return time.monotonic()

    def nodes(self) -> tuple[Node, ...]:
        try:
            return self.view.nodes()
        except ClusterLost:  # whatever is said to it now is waited for without end
            self.actors.clear()
            self.announced = []
            raise

    def start(self, place: Place) -> None:
        engine, need = place.queue.engine, place.spot.need
        options = ray.remote(EngineActor).options(
            name=f"{engine.engine_id}#{place.number}-{self.session}",
            num_cpus=need.cpus,
            num_gpus=need.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.spot.node_id, soft=False),
            runtime_env={"env_vars": environment(engine, need.gpus)},
        )
        lease = self.store.lease.lent() if self.store.lease else None
        longest = self.longest[engine.engine_id]
        actor: Any = options.remote(
            engine, self.store.root, place.rows, longest, need.gpus, lease, need.kind
        )
        self.actors[place.number] = actor
        self.watchdog.begin(place)
        self._hear(place, actor.__ray_ready__.remote(), lambda _: Loaded(place))

    def run(self, place: Place, task: Task) -> None:
        actor = self.actors[place.number]
        call = actor.run_shard.options(name=named(task.shard)).remote(task.shard)
        self._hear(place, call, partial(Finished, place, task))
        if place.number not in self.asked:
            self.asked.add(place.number)
            self._hear(
                place, actor.has_capacity.remote(spare(place.rows)), lambda _: HasCapacity(place)
            )

    def stop(self, place: Place) -> None:
        self._room_at = self.now()
        self.asked.discard(place.number)
        self.watchdog.end(place)
        actor = self.actors.pop(place.number, None)
        if actor is not None:
            ray.kill(actor)

    def wait(self) -> list[Event]:
        """What has happened within a moment. Raises LeaseLost if an actor was told so."""
        events: list[Event] = []
        with suppress(Empty):
            events += self._events(*self.heard.get(timeout=MOMENT_S))
            while True:
                events += self._events(*self.heard.get_nowait())
        return [*events, *self._hung()]

    def _hung(self) -> list[Event]:
        """The places that hang; the others are asked for their pulse now and then."""
        if not self.watchdog.is_due(self.now()):
            return []
        to_ask, hung = self.watchdog.look(self.now())
        for place in to_ask:
            pulse = self.actors[place.number].pulse.remote()
            self._hear(place, pulse, partial(self.watchdog.heard, place))
        return [Lost(place, "hang", reason) for place, reason in hung]

    def goes_on(self, schedule: Schedule) -> bool:
        """Whether room may come: nodes that are there but taken, or that an autoscaler adds."""
        return self.cluster.autoscaling or self.now() - self._room_at < PATIENCE_S

    def ask_for_nodes(self, schedule: Schedule) -> None:
        """Announce the demand to an autoscaler, if it has changed."""
        if not self.cluster.autoscaling or self.now() - self._announced_at < ANNOUNCE_EVERY_S:
            return
        self._announced_at, wanted = self.now(), within(schedule.demand(), self.cluster)
        if wanted != self.announced:
            announce(wanted)
            self.announced = wanted

    def close(self) -> None:
        """Take back what was announced, and look no more."""
        self.view.close()
        if self.announced:
            announce([])

    def _hear(self, place: Place, call: ray.ObjectRef, event_of: EventOf) -> None:
        call.future().add_done_callback(lambda done: self.heard.put((place, event_of, done)))

    def _events(self, place: Place, event_of: EventOf, done: Future) -> list[Event]:
        try:
            event = event_of(done.result())
        except RayError as error:
            return events_of(place, error)
        if isinstance(event, HasCapacity):
            self.asked.discard(place.number)
        return [event] if event else []


def events_of(place: Place, error: RayError) -> list[Event]:
    """What a failed call tells: its actor is lost; and if that raised something itself, it was loaded.

    That may be heard only later, for Ray tells of calls in no order. Raises LeaseLost if the actor did.
    """
    lost = Lost(place, kind_of(error), reason_of(error))
    if not isinstance(error, RayTaskError):
        return [lost]
    if isinstance(error.cause, LeaseLost):
        raise LeaseLost(str(error.cause)) from error
    return [Loaded(place), lost]


def named(shard: Shard) -> str:
    """What Ray's dashboard calls the call for a shard."""
    first, last = shard.indices[0], shard.indices[-1]
    names = [shard.questions[0].question_id, shard.questions[-1].question_id]
    return f"{shard.engine.engine_id} {shard.benchmark} {'…'.join(dict.fromkeys(names))} #{first}-{last}"


def within(needs: Iterable[Need], cluster: Cluster) -> list[Need]:
    """Of the needs, largest work first, those for which the cluster may grow."""
    left: dict[str, float] = defaultdict(lambda: math.inf)
    for pool in cluster.pools:
        if pool.gpus is not None:
            left[pool.gpu.accelerator_type] = pool.gpus
    kept = []
    for need in needs:
        if left[need.kind] >= need.gpus:
            kept.append(need)
            left[need.kind] -= need.gpus
    return kept


def longest(shards: Iterable[Shard]) -> dict[str, int]:
    """For each engine, by its id: tokens of the longest sequence that its shards may come to."""
    found: dict[str, int] = {}
    for shard in shards:
        key = shard.engine.engine_id
        found[key] = max(found.get(key, 0), longest_sequence(shard))
    return found


def environment(engine: EngineSpec, gpus: float) -> dict[str, str]:
    """Environment variables for an actor; vLLM's own, where the user has set them, count for it too."""
    hidden = {} if gpus else NO_GPU
    if engine.backend != "vllm":
        return dict(hidden)
    users = {name: value for name, value in os.environ.items() if name.startswith("VLLM_")}
    return {**VLLM, **users, **hidden}


TEMPLATE_TOKENS = 256  # at most, that a chat template adds to a question


def longest_sequence(shard: Shard) -> int:
    """Tokens of a shard's longest sequence at most: no text has more tokens than bytes."""
    decoding = shard.decoding
    prompt = max(len(question.prompt.encode()) for question in shard.questions) + TEMPLATE_TOKENS
    closing = len(decoding.forced_closing.encode())
    tokens = decoding.sequence_tokens(prompt, closing)
    return min(tokens, shard.engine.model.architecture.context)

"""The world of Ray actors, a `scheduling.loop.World`.

One Ray call runs one shard. The actor writes the samples, and only a receipt comes back. A second call tells
when the actor has capacity for more. Ray's own retries are off, because a killed node uses them all up
before Ray calls it dead. The schedule queues lost shards again instead. Each actor is placed on the node
that the schedule has chosen, so its decisions are carried out exactly.
"""

import math
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.engine_actor import EngineActor
from raysweep.driver.actor_environment import environment, handed_over
from raysweep.driver.head_watch import ClusterView
from raysweep.driver.preflight import Preflight
from raysweep.driver.ray_errors import kind_of, reason_of
from raysweep.driver.ray_nodes import announce, live_nodes
from raysweep.errors import ClusterLost
from raysweep.planning.lengths import Lengths
from raysweep.planning.placements import Need
from raysweep.run_config import Cluster, Servers
from raysweep.scheduling.loop import Event, Finished, HasCapacity, Loaded, Lost
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.places import Place, spare
from raysweep.scheduling.queues import Task
from raysweep.scheduling.schedule import Schedule
from raysweep.scheduling.watchdog import Watchdog
from raysweep.shard import Shard
from raysweep.storage.lease import LeaseLost
from raysweep.storage.store import Store

# Seconds to wait for an event.
MOMENT_S = 1.0
ANNOUNCE_EVERY_S = 10.0

# Seconds after which it is said that a server's engine is not loaded, which needs few if the server is there.
LONG_LOAD_S = 60.0

# Seconds to wait for capacity when no node can hold an engine and no autoscaler is known to add one.
PATIENCE_S = 120.0

# Makes an event from what a call has returned.
EventOf = Callable[[Any], Event | None]


class RayWorld:
    """The actors of one run on a running Ray cluster.

    lengths    of the run's sequences, by which each engine reserves its cache
    servers    of the engines whose backend is `server`
    preflight  admits the nodes; None admits all of them
    asked      numbers of the places that will say when they have capacity
    early      tasks of the places that load, by number: an engine that hangs at its first step could keep its
               actor from saying that it had loaded
    """

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        lengths: Lengths,
        hang_s: float = math.inf,
        servers: Servers | None = None,
        preflight: Preflight | None = None,
    ):
        self.store, self.cluster, self.lengths = store, cluster, lengths
        self.servers = servers or Servers()
        self.preflight = preflight
        self._admitted: tuple[Node, ...] = ()
        self.watchdog = Watchdog(hang_s)
        self.session = uuid.uuid4().hex[:6]
        self.actors: dict[int, Any] = {}
        self.asked: set[int] = set()
        self.early: dict[int, list[Task]] = {}
        self.heard: SimpleQueue[tuple[Place, EventOf, Future]] = SimpleQueue()
        self.announced: list[Need] = []
        self.view = ClusterView(partial(live_nodes, cluster))
        self._announced_at = self._room_at = time.monotonic()

    def now(self) -> float:
        return time.monotonic()

    def nodes(self) -> tuple[Node, ...]:
        try:
            live = self.view.nodes()
        except ClusterLost:  # Any further call to the cluster would wait without end.
            self.actors.clear()
            self.announced = []
            raise
        if self.preflight is None:
            return live
        refused = len(self.preflight.refused)
        admitted = self.preflight.admitted(live)
        if len(self.preflight.refused) > refused:
            self._room_at = self.now()
        if admitted != self._admitted:  # The loop compares identities, which is cheap.
            self._admitted = admitted
        return self._admitted

    def start(self, place: Place) -> None:
        engine, need = place.queue.engine, place.spot.need
        server = self.servers.of(engine.engine_id)
        lengths = self.lengths.within(engine.model.architecture)
        options = ray.remote(EngineActor).options(
            name=f"{engine.engine_id}#{place.number}-{self.session}",
            num_cpus=need.cpus,
            num_gpus=need.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.spot.node_id, soft=False),
            runtime_env={"env_vars": environment(engine, need.gpus)},
        )
        actor: Any = options.remote(
            spec=engine,
            store_root=self.store.root,
            max_rows=place.rows,
            longest=lengths.row,
            mean=lengths.mean,
            cpus=need.cpus,
            gpus=need.gpus,
            lease=self.store.lease.lent() if self.store.lease else None,
            device=need.kind,
            variables=handed_over(server),
            server=server,
        )
        self.actors[place.number] = actor
        self.early[place.number] = []
        self.watchdog.begin(place)
        self._hear(place, actor.load_seconds.remote(), partial(Loaded, place))

    def run(self, place: Place, task: Task) -> None:
        if place.number in self.early:
            self.early[place.number].append(task)
        else:
            self._call(place, task)

    def _call(self, place: Place, task: Task) -> None:
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
        self.early.pop(place.number, None)
        self.watchdog.end(place)
        actor = self.actors.pop(place.number, None)
        if actor is not None:
            ray.kill(actor)

    def wait(self) -> list[Event]:
        """The events of a moment. Raises LeaseLost if an actor found that another driver took over."""
        events: list[Event] = []
        with suppress(Empty):
            events += self._events(*self.heard.get(timeout=MOMENT_S))
            while True:
                events += self._events(*self.heard.get_nowait())
        return [*events, *self._hung()]

    def _hung(self) -> list[Event]:
        """The places that hang. The others are asked for their pulse at intervals."""
        if not self.watchdog.is_due(self.now()):
            return []
        to_ask, hung = self.watchdog.look(self.now())
        for place in to_ask:
            pulse = self.actors[place.number].pulse.remote()
            self._hear(place, pulse, partial(self.watchdog.heard, place))
            if place.queue.engine.backend == "server":
                self._hear(place, self.actors[place.number].trouble.remote(), told)
        for place in self.watchdog.loading():
            told(self._slow_server(place))
        return [Lost(place, "hang", reason) for place, reason in hung]

    def _slow_server(self, place: Place) -> str:
        """That a server may keep an engine from loading, since its actor answers nothing until it has."""
        engine, since_s = place.queue.engine, self.now() - place.since
        server = self.servers.of(engine.engine_id)
        if engine.backend != "server" or server is None or since_s < LONG_LOAD_S:
            return ""
        return f"{engine.engine_id}: not loaded for {since_s:.0f} s; is the server {server.address} there?"

    def goes_on(self, schedule: Schedule) -> bool:
        """Whether capacity may still come, from an autoscaler or from a node that is free again.

        Where all the nodes that have come were refused, the next ones would be too.
        """
        refused = self.preflight is not None and self.preflight.refused and not self._admitted
        waits = self.cluster.autoscaling and not refused
        return waits or self.now() - self._room_at < PATIENCE_S

    def ask_for_nodes(self, schedule: Schedule) -> None:
        """Announce the demand to an autoscaler, if it has changed."""
        if not self.cluster.autoscaling or self.now() - self._announced_at < ANNOUNCE_EVERY_S:
            return
        self._announced_at, wanted = self.now(), within(schedule.demand(), self.cluster)
        if wanted != self.announced:
            announce(wanted)
            self.announced = wanted

    def close(self) -> None:
        """Withdraw the announced demand, and stop watching the nodes."""
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
        if isinstance(event, Loaded):
            for task in self.early.pop(place.number, ()):
                self._call(place, task)
        return [event] if event else []


def told(trouble: str) -> None:
    """Say that an engine waits, as for its server to come back: its actor prints where nobody looks."""
    if trouble:
        print(f"raysweep: {trouble}", file=sys.stderr, flush=True)


def events_of(place: Place, error: RayError) -> list[Event]:
    """The events of a failed call: its actor is lost, and it had been loaded if it raised the error itself.

    Ray reports calls in no order, so the call that waits for loading may be heard of later. Raises LeaseLost
    if the actor raised it.
    """
    lost = Lost(place, kind_of(error), reason_of(error))
    if not isinstance(error, RayTaskError):
        return [lost]
    if isinstance(error.cause, LeaseLost):
        raise LeaseLost(str(error.cause)) from error
    return [Loaded(place), lost]


def named(shard: Shard) -> str:
    """The name of a shard's call in Ray's dashboard.

    It names engine and benchmark and no more, since Ray keeps metrics for each name that it has seen: in the
    driver, the actors and the agent of each node, some 10 kB in each.
    """
    return f"{shard.engine.engine_id} {shard.benchmark}"


def within(needs: Iterable[Need], cluster: Cluster) -> list[Need]:
    """The first of the needs, in their order, that the cluster's configured numbers of GPUs can hold."""
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

"""Generate what is missing: the schedule over Ray actors, from the first actor to the last receipt."""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace

from raysweep.driver.ray_nodes import check_room
from raysweep.driver.ray_session import ray_session
from raysweep.driver.ray_world import RayWorld, longest
from raysweep.planning.jobs import jobs_of, learnt_from
from raysweep.run_config import Cluster, Generation
from raysweep.scheduling import loop
from raysweep.scheduling.loop import Event
from raysweep.scheduling.losses import Failure
from raysweep.scheduling.schedule import Schedule
from raysweep.shard import Shard
from raysweep.storage.part import Part
from raysweep.storage.store import Store
from raysweep.system.machine import affordable_actors
from raysweep.system.sigterm import Terminated, drained

ENDING_S = 8.0  # of the grace after SIGTERM


@dataclass(frozen=True)
class Outcome:
    """What a generate stage did.

    gpu_s     seconds that GPUs were held
    faults    actors that were lost, by the kind of loss
    actors    the most that ran at a time
    warnings  what is to be known of engines as they were loaded
    left      samples that nobody was at in the end: there was no room, or the work was stopped
    stopped   why
    """

    shards: int
    samples: int
    tokens: int
    wall_s: float
    gpu_s: float
    faults: dict[str, int]
    actors: int
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...] = ()
    left: int = 0
    stopped: str = ""


Watch = Callable[[Schedule, Event | None], None]


def generate(
    shards: Iterable[Shard],
    store: Store,
    generation: Generation,
    cluster: Cluster,
    row_tokens: int,
    watch: Watch = lambda schedule, event: None,
    ended: Callable[[Outcome], None] = lambda outcome: None,
    parts: Iterable[Part] = (),
) -> Outcome:
    """Run all shards; `watch` hears of each event, and of each moment without one.

    `ended` hears the outcome, also where an interruption or a fault ends the work before its time. `parts`
    that are there already teach how long traces are and how fast engines. `row_tokens` are those of a row
    at its longest, by which the plan has given each engine its GPUs.
    Raises ConfigError where the cluster can hold no actor, LeaseLost where another driver took over,
    ClusterLost where the cluster is gone, and Terminated when all is drained after SIGTERM.
    """
    shards = tuple(shards)
    if cluster.address == "local" and not cluster.on_gpus:
        cluster = replace(cluster, actors=cluster.actors or affordable_actors(len(shards)))
    jobs = jobs_of(shards, generation, cluster, row_tokens)
    learnt = learnt_from(parts, jobs)
    schedule = Schedule(jobs, learnt, generation.max_attempts, cluster.actors)
    hang_s = 60 * generation.hang_minutes
    with (
        ray_session(cluster),
        closing(RayWorld(store.absolute, cluster, longest(shards), hang_s)) as world,
    ):
        check_room(jobs, world.nodes(), cluster)
        with drained() as since_sigterm:
            return _run(schedule, world, watch, ended, Drain(since_sigterm, generation.grace_s))


@dataclass(frozen=True)
class Drain:
    """What SIGTERM asks for: nothing new is begun, and what is not done in time is dropped.

    since    seconds since SIGTERM, None before it
    grace_s  till the program has ended; some are kept for writing, and for ending Ray
    """

    since: Callable[[], float | None]
    grace_s: float

    def __call__(self, schedule: Schedule) -> None:
        """Raises Terminated when time is up."""
        since_s = self.since()
        schedule.draining |= since_s is not None
        if since_s is not None and since_s > self.grace_s - min(ENDING_S, self.grace_s / 2):
            raise Terminated

    def check(self) -> None:
        """Raises Terminated after SIGTERM."""
        if self.since() is not None:
            raise Terminated


def _run(
    schedule: Schedule,
    world: RayWorld,
    watch: Watch,
    ended: Callable[[Outcome], None],
    drain: Drain,
) -> Outcome:
    started = world.now()

    def hear(schedule: Schedule, event: Event | None) -> None:
        world.ask_for_nodes(schedule)
        watch(schedule, event)
        drain(schedule)

    try:
        loop.run(schedule, world, hear)
        drain.check()
    finally:
        outcome = outcome_of(schedule, world.now() - started)
        ended(outcome)
    return outcome


def outcome_of(schedule: Schedule, wall_s: float) -> Outcome:
    return Outcome(
        shards=schedule.done.shards,
        samples=schedule.done.samples,
        tokens=schedule.done.tokens,
        wall_s=wall_s,
        gpu_s=schedule.gpu_s,
        faults=dict(schedule.faults),
        actors=schedule.most_held,
        failures=tuple(schedule.failures),
        warnings=tuple(sorted(schedule.warnings)),
        left=sum(queue.waiting_samples for queue in schedule.queues),
        stopped=schedule.losses.stopped,
    )

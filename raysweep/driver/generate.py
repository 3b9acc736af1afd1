"""Generate missing samples: the schedule over Ray actors, from the first actor to the last receipt."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from raysweep import memory
from raysweep.adaptive.ceiling import Ceiling, spent_before
from raysweep.adaptive.sampling import FolderSampling
from raysweep.adaptive.supply import SupplyInRounds
from raysweep.driver.preflight import preflight
from raysweep.driver.ray_nodes import check_room, live_nodes, with_sizes_of
from raysweep.driver.ray_session import ray_session
from raysweep.driver.ray_world import RayWorld
from raysweep.planning.estimate import kinds_of
from raysweep.planning.jobs import Job, jobs_of, learnt_from
from raysweep.planning.lengths import Lengths, longest, shard_lengths
from raysweep.planning.loads import NO_LOADS, Loads, LoadTimes
from raysweep.planning.unfit import held
from raysweep.run_config import Generation, RunConfig
from raysweep.scheduling import loop
from raysweep.scheduling.loop import Event
from raysweep.scheduling.loss_kinds import LossKind
from raysweep.scheduling.losses import Failure
from raysweep.scheduling.schedule import Schedule
from raysweep.shard import Shard
from raysweep.storage.part import Part
from raysweep.storage.store import Store
from raysweep.storage.summary import read_summary
from raysweep.system.machine import affordable_actors, bytes_per_multiplied_number
from raysweep.system.sigterm import Terminated, drained

# Seconds of the grace period after SIGTERM that are kept for writing and for shutting Ray down.
ENDING_S = 8.0


@dataclass(frozen=True)
class Outcome:
    """What a generate stage did.

    gpu_s     GPU seconds of all actors
    faults    actors that were lost, by the kind of loss
    actors    actors that ran at the same time, at most
    loads     how long actors took to load
    warnings  warnings of engines as they were loaded
    left      samples never started, because no node had capacity or the work was stopped
    stopped   why the work was stopped, or ""
    unfit     shards that were skipped, since no node holds their engines
    """

    shards: int
    samples: int
    tokens: int
    wall_s: float
    gpu_s: float
    faults: dict[LossKind, int]
    actors: int
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...] = ()
    left: int = 0
    stopped: str = ""
    unfit: tuple[Shard, ...] = ()
    loads: LoadTimes = field(default_factory=dict)


Watch = Callable[[Schedule, Event | None], None]


def generate(
    shards: Iterable[Shard],
    store: Store,
    config: RunConfig,
    lengths: Lengths,
    watch: Watch = lambda schedule, event: None,
    ended: Callable[[Outcome], None] = lambda outcome: None,
    parts: Sequence[Part] = (),
    loads: Loads = NO_LOADS,
    tell: Callable[[str], None] = lambda line: None,
    sampling: FolderSampling | None = None,
) -> Outcome:
    """Run all shards on the cluster of a configuration.

    shards    in an adaptive run all that may be wanted; the rounds say which are
    lengths   of the run's sequences, by which the plan has given each engine its GPUs; a prompt that its chat
              template makes longer than the plan knew makes them longer
    watch     called with each event, and with None after a moment without one
    ended     called once with the outcome, also when an interruption or a fault ends the work early
    parts     finished parts, from which trace lengths and speeds are measured
    loads     of earlier sessions
    tell      called with each line on a node that joins later and cannot be used
    sampling  the rounds of an adaptive run

    Raises ConfigError if a node cannot be used, or if no node can ever hold an engine that the sweep does not
    skip; LeaseLost if another driver took over, ClusterLost if the cluster is gone, and Terminated once the
    running shards are drained after SIGTERM.
    """
    shards, generation, cluster = tuple(shards), config.generation, config.cluster
    lengths, hang_s = longest([lengths, shard_lengths(shards)]), 60 * generation.hang_minutes
    if cluster.address == "local" and not cluster.on_gpus and not cluster.actors:
        largest = _largest_actor(shards, generation, lengths)
        cluster = replace(cluster, actors=affordable_actors(len(shards), largest))
    with ray_session(cluster):
        nodes = live_nodes(cluster)
        cluster = with_sizes_of(nodes, cluster)
        shards, unfit = held(replace(config, cluster=cluster), shards, lengths)
        make_jobs = partial(
            jobs_of, generation=generation, cluster=cluster, lengths=lengths, loads=loads
        )
        jobs = make_jobs(shards)
        check_room(jobs, nodes, cluster)
        kinds = kinds_of(config, [job.engine for job in jobs], parts)
        learnt = learnt_from(parts, jobs, kinds)
        schedule = Schedule(
            () if sampling else jobs, learnt, generation.max_attempts, cluster.actors
        )
        supply = None
        if sampling is not None:
            sampling.leave_out({shard.engine.engine_id for shard in unfit})
            ceiling = ceiling_of(config, store, parts, jobs, loads)
            supply = SupplyInRounds(sampling, make_jobs, ceiling)
            supply.begin(schedule, now=0.0)
        with (
            preflight(jobs, store.absolute, cluster, nodes, tell) as checked,
            closing(
                RayWorld(store.absolute, cluster, lengths, hang_s, config.server, checked)
            ) as world,
            drained() as since_sigterm,
        ):
            drain = Drain(since_sigterm, generation.grace_s)
            return _run(schedule, world, supply, watch, ended, drain, unfit)


def ceiling_of(
    config: RunConfig, store: Store, parts: Iterable[Part], jobs: Iterable[Job], loads: Loads
) -> Ceiling:
    """The ceiling of an adaptive run, and what earlier sessions have spent of it."""
    own = config.sweep.adaptive
    if own is None:
        return Ceiling()
    ways = {job.engine.engine_id: job.options for job in jobs}
    noted_hours = read_summary(store).get("gpu_hours", 0.0)
    return Ceiling.of(own, config.cluster, spent_before(parts, loads.times, ways, noted_hours))


def _largest_actor(shards: Iterable[Shard], generation: Generation, lengths: Lengths) -> int:
    """Bytes of the largest actor on this machine's CPU; it has no more rows than samples."""
    wide, engines = bytes_per_multiplied_number(), {}
    samples: Counter[str] = Counter()
    for shard in shards:
        engines[shard.engine.engine_id] = shard.engine
        samples[shard.engine.engine_id] += shard.samples
    sizes = [
        memory.cpu_actor_bytes(
            engine,
            wide,
            min(generation.max_rows, samples[engine_id]),
            lengths.within(engine.model.architecture).row,
        )
        for engine_id, engine in engines.items()
        if engine.backend != "server"  # which has the weights and the cache
    ]
    return max(sizes, default=memory.PROCESS_BYTES)


@dataclass(frozen=True)
class Drain:
    """How a run ends after SIGTERM: no work starts, and what does not finish in time is dropped.

    since    gives the seconds since SIGTERM, None before it
    grace_s  seconds from SIGTERM within which the program must end
    """

    since: Callable[[], float | None]
    grace_s: float

    def __call__(self, schedule: Schedule) -> None:
        """Raise Terminated when the time is up."""
        since_s = self.since()
        schedule.draining |= since_s is not None
        if since_s is not None and since_s > self.grace_s - min(ENDING_S, self.grace_s / 2):
            raise Terminated

    def check(self) -> None:
        """Raise Terminated after SIGTERM."""
        if self.since() is not None:
            raise Terminated


def _run(
    schedule: Schedule,
    world: RayWorld,
    supply: SupplyInRounds | None,
    watch: Watch,
    ended: Callable[[Outcome], None],
    drain: Drain,
    unfit: Sequence[Shard],
) -> Outcome:
    started = world.now()

    def hear(schedule: Schedule, event: Event | None) -> None:
        world.ask_for_nodes(schedule)
        watch(schedule, event)
        drain(schedule)

    try:
        loop.run(schedule, world, hear, supply)
        drain.check()
    finally:
        outcome = outcome_of(schedule, world.now() - started, unfit)
        if supply is not None and supply.exceeded:
            outcome = replace(outcome, stopped=outcome.stopped or supply.exceeded)
        ended(outcome)
    return outcome


def outcome_of(schedule: Schedule, wall_s: float, unfit: Sequence[Shard] = ()) -> Outcome:
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
        stopped=schedule.stopped,
        unfit=tuple(unfit),
        loads=dict(schedule.loads),
    )

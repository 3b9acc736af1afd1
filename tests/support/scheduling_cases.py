"""Jobs and nodes for tests of the scheduler, and a simulated world in which anything fails."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from support.nouns import a_model, an_engine, some_questions, some_shards

from raysweep.planning.jobs import Job
from raysweep.planning.measured import Learnt
from raysweep.planning.placements import Need, Option
from raysweep.planning.speed import Speed
from raysweep.scheduling.loop import Event, Finished, Lost
from raysweep.scheduling.loss_kinds import LossKind
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.places import Action, Place, RunTask, Start, Stop
from raysweep.scheduling.queues import Task
from raysweep.scheduling.schedule import Schedule
from raysweep.scheduling.simulated_world import Lengths, Luck, SimulatedWorld
from raysweep.shard import Cell, Receipt, Shard, cells

KINDS_OF_LOSS: tuple[LossKind, ...] = (
    *("actor", "error", "node", "server", "load", "out_of_memory", "storage"),
)


def an_option(gpus: float = 1.0, kind: str = "", cpus: float = 1.0, rows: int = 4, **speed: float):
    """An option of an engine that by default loads at once and takes a second per step."""
    taken = {"step_s": 1.0, "row_s": 0.0, "load_s": 0.0, **speed}
    return Option(Need(cpus, gpus, kind), Speed(gpus, rows, **taken))


def a_shard(engine: str = "toy", questions: int = 4, samples: int = 2, start: int = 0) -> Shard:
    """A shard of `samples` samples of each of some questions."""
    return replace(
        some_shards()[0],
        engine=an_engine(model=a_model(engine)),
        questions=some_questions(questions),
        sample_start=start,
        sample_count=samples,
    )


def a_job(name: str = "toy", shards: int = 1, options: Iterable[Option] = (), **shard: int) -> Job:
    """A job of some shards of an engine, with 8 samples each by default."""
    count = shard.get("samples", 2)
    made = [a_shard(name, **shard, start=i * count) for i in range(shards)]
    return Job(made[0].engine, tuple(options) or (an_option(),), tuple(made))


def nodes_of(*gpus: int, cpus: float = 64.0, kind: str = "") -> tuple[Node, ...]:
    """Nodes with these numbers of GPUs."""
    return tuple(Node(f"node-{i}", cpus, count, kind) for i, count in enumerate(gpus))


def a_schedule(
    *jobs: Job, nodes: Sequence[Node] = (), max_attempts: int = 3, most_places: int | None = None
) -> Schedule:
    schedule = Schedule(jobs or [a_job()], Learnt(), max_attempts, most_places)
    schedule.see(nodes or nodes_of(1), now=0.0)
    return schedule


def decide(schedule: Schedule, now: float = 0.0) -> list[Action]:
    return list(schedule.decide(now))


def started(actions: Iterable[Action]) -> list[Place]:
    return [action.place for action in actions if isinstance(action, Start)]


def stopped(actions: Iterable[Action]) -> list[Place]:
    return [action.place for action in actions if isinstance(action, Stop)]


def handed_out(actions: Iterable[Action]) -> list[Task]:
    return [action.task for action in actions if isinstance(action, RunTask)]


def names(places: Iterable[Place]) -> list[str]:
    """The names of the models at places."""
    return [place.queue.engine.model.name for place in places]


def finish(schedule: Schedule, place: Place, task: Task | None = None, tokens: int = 8) -> None:
    """Finish a task of a place, the first one by default."""
    done = task or next(iter(place.in_flight))
    receipt = Receipt(done.shard.shard_id, done.samples, tokens, 1.0)
    schedule.finished(place, done, receipt)


def work_off(schedule: Schedule, now: float = 0.0) -> Counter[Cell]:
    """Finish all tasks until none is handed out. Gives the finished cells."""
    done: Counter[Cell] = Counter()
    while True:
        decide(schedule, now)
        busy = [place for place in schedule.places.values() if place.in_flight]
        if not busy:
            return done
        for place in busy:
            done.update(cells(next(iter(place.in_flight)).shard))
            finish(schedule, place)


def cells_of(shards: Iterable[Shard]) -> Counter[tuple[str, Cell]]:
    """The samples of shards, by engine."""
    return Counter((shard.engine.engine_id, cell) for shard in shards for cell in cells(shard))


def lengths_of(seed: int, longest: int = 50) -> Lengths:
    """Lengths of traces that depend on the sample alone, however shards are cut."""

    def lengths(shard: Shard) -> list[int]:
        named = ((shard.engine.engine_id, *cell) for cell in cells(shard))
        return [random.Random(repr((seed, name))).randint(1, longest) for name in named]

    return lengths


class RoughWorld(SimulatedWorld):
    """Actors are lost for any reason, and nodes leave and join, at random, until so many losses."""

    def __init__(self, nodes: Sequence[Node], lengths: Lengths, seed: int, losses: int):
        super().__init__(nodes, lengths, Luck(seed))
        self.all_nodes, self.losses, self.chance = tuple(nodes), losses, random.Random(seed)
        self.finished: list[Shard] = []
        self.started = 0

    def start(self, place: Place) -> None:
        super().start(place)
        self.started += 1

    def wait(self) -> list[Event]:
        events = super().wait() if self._actors else self._nothing()
        self.finished += [event.task.shard for event in events if isinstance(event, Finished)]
        return [*events, *self._losses(events)]

    def _nothing(self) -> list[Event]:
        """Let time pass without an actor."""
        self._now += 30.0
        return []

    def goes_on(self, schedule: Schedule) -> bool:
        self._nodes = self.all_nodes
        return True

    def _losses(self, events: list[Event]) -> list[Event]:
        lost = {event.place.number for event in events if isinstance(event, Lost)}
        there = [actor.place for number, actor in self._actors.items() if number not in lost]
        if not self.losses or not there or self.chance.random() < 0.7:
            return []
        self.losses -= 1
        if self.chance.random() < 0.3:
            count = self.chance.randint(0, len(self.all_nodes))
            self._nodes = tuple(self.chance.sample(self.all_nodes, count))
            return []
        kind = self.chance.choice(KINDS_OF_LOSS)
        return [Lost(self.chance.choice(there), kind, "its loss was drawn at random")]

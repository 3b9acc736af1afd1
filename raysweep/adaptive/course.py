"""The course of an adaptive run so far: its rounds, what stopped after which of them, and because of what.

Plain facts, as summary.json holds them. They follow from the decisions alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from raysweep import memory
from raysweep.adaptive.decisions import Look, Out, Place
from raysweep.adaptive.race import Race
from raysweep.adaptive.rounds import Rounds
from raysweep.adaptive.rules import judged_groups

# Of the engines that were stopped, those with the largest saving are described, in this number.
MOST_DESCRIBED = 20


@dataclass(frozen=True)
class Decision:
    """What a benchmark's look decided.

    samples         per question on which it rests
    critical_value  standard errors by which a difference must be certain
    comparisons     how many were made
    stopped         configurations that stopped with it
    left            configurations and, in `engines`, engines that go on
    """

    samples: int
    critical_value: float
    comparisons: int
    stopped: int
    left: int
    engines: int


@dataclass(frozen=True)
class StoppedEngine:
    """An engine without a configuration that goes on, and the last one of it that was out by itself.

    samples  per question that it has; 0 for one that never starts
    out, by  that configuration, and the one that takes its place: engine id, token budget and group size
    margin   the most accuracy by which `out` may be better
    """

    engine_id: str
    samples: int
    out: Place | None = None
    by: Place | None = None
    margin: float | None = None


@dataclass(frozen=True)
class BenchmarkCourse:
    """The course on one benchmark.

    samples         per question in the round that is being made, or at the end
    engines         those that take part, and in `configurations` what they can be run with
    decisions       so far
    done            whether every decision is made
    never_judged    configurations that stopped with their engine before their group could be judged
    stopped_engines how many, those that never start included
    largest         of these the ones with the largest saving, largest first
    """

    benchmark: str
    samples: int
    engines: int
    configurations: int
    decisions: tuple[Decision, ...]
    done: bool
    never_judged: int
    stopped_engines: int
    largest: tuple[StoppedEngine, ...]

    @property
    def stopped(self) -> int:
        """Configurations that go on no more."""
        left = self.decisions[-1].left if self.decisions else self.configurations
        return self.configurations - left


def course_of(rounds: Rounds) -> tuple[BenchmarkCourse, ...]:
    """The course of each benchmark."""
    return tuple(_course(race) for race in rounds.races.values())


def stopped_places(race: Race) -> dict[Place, int]:
    """The samples per question after which each configuration was out.

    0 for one that does not fit the memory that is asked for.
    """
    gone = np.argwhere(~np.any(race.live, axis=0)).tolist()
    places = (race.grid.place(tuple(cell)) for cell in gone)
    return {place: race.stopped_at.get(place, 0) for place in places}


def _course(race: Race) -> BenchmarkCourse:
    stopped = stopped_places(race)
    after = list(stopped.values())
    whole = int(np.prod(race.grid.shape))
    decisions = tuple(
        Decision(
            samples=look.n,
            critical_value=look.critical,
            comparisons=look.compared,
            stopped=after.count(look.n),
            left=whole - sum(n <= look.n for n in after),
            engines=len(look.budgets),
        )
        for look in race.looks
    )
    engines = _by_saving(race, _stopped_engines(race))
    return BenchmarkCourse(
        benchmark=race.benchmark,
        samples=race.n,
        engines=len(race.grid.engines),
        configurations=whole,
        decisions=decisions,
        done=race.done,
        never_judged=sum(
            n > 0 and group not in judged_groups(race.grid.group_sizes, n)
            for (_, _, group), n in stopped.items()
        ),
        stopped_engines=len(engines),
        largest=tuple(engines[:MOST_DESCRIBED]),
    )


def _stopped_engines(race: Race) -> list[StoppedEngine]:
    going = set(race.budgets(0))
    found = [StoppedEngine(engine_id, 0) for engine_id in race.grid.number.keys() - going]
    for at, look in enumerate(race.looks):
        stopped = going - look.budgets.keys()
        found += [_stopped_engine(engine_id, race.looks[: at + 1]) for engine_id in stopped]
        going &= look.budgets.keys()
    return found


def _stopped_engine(engine_id: str, looks: Iterable[Look]) -> StoppedEngine:
    """An engine that stopped with the last of the looks."""
    samples, last = 0, None
    for look in looks:
        samples = look.n
        own = [out for out in look.out if out.place[0] == engine_id]
        last = max(own, key=lambda out: out.margin, default=last)
    if not isinstance(last, Out):  # none of its configurations was out by itself
        return StoppedEngine(engine_id, samples)
    return StoppedEngine(engine_id, samples, last.place, last.by, last.margin)


def _by_saving(race: Race, stopped: Iterable[StoppedEngine]) -> list[StoppedEngine]:
    """The engines whose remaining samples would have read most bytes of weights first."""
    size = {
        engine.engine_id: memory.weights_bytes(engine.model, engine.weights)
        for engine in race.grid.engines
    }
    samples = race.rules.looks[-1]
    return sorted(
        stopped, key=lambda one: (-(samples - one.samples) * size[one.engine_id], one.engine_id)
    )

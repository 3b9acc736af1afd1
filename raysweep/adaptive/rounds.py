"""The rounds of a whole run: a race for each benchmark, and the decisions that its folder keeps.

Each benchmark goes on by itself. A command that makes samples decides anew from the samples and compares with
the records (`decided`). Other commands read the records alone (`restored`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from raysweep.adaptive.decisions import Look
from raysweep.adaptive.race import Race
from raysweep.adaptive.records import Asked, agree, drop_looks, read_looks, write_look
from raysweep.adaptive.rules import rules_of
from raysweep.adaptive.votes import Votes
from raysweep.planning.demand import Demands, Segment, everything
from raysweep.planning.grid import control_of
from raysweep.planning.plan import Plan
from raysweep.run_config import RunConfig, Sweep
from raysweep.spec import EngineSpec
from raysweep.storage.store import Store

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Rounds:
    """The races of a run.

    engines  of the grid, without controls; not all need take part in a race
    asked    what each benchmark's looks decide, by its name
    races    by the benchmark's name
    """

    sweep: Sweep
    engines: tuple[EngineSpec, ...]
    asked: Mapping[str, Asked]
    races: Mapping[str, Race]

    @classmethod
    def begun(
        cls, sweep: Sweep, engines: Iterable[EngineSpec], left_out: Collection[str] = ()
    ) -> "Rounds":
        """The rounds before any decision. Engines with an id in `left_out` take no part.

        Raises ValueError for a sweep that is not adaptive.
        """
        grid = tuple(engine for engine in engines if not engine.control)
        raced = [engine for engine in grid if engine.engine_id not in left_out]
        rules = rules_of(sweep)
        asked = {b.name: Asked.of(sweep, rules, b, raced) for b in sweep.benchmarks}
        return cls(sweep, grid, asked, {name: race_of(one) for name, one in asked.items()})

    def demands(self, early: Mapping[str, Collection[str]] | None = None) -> Demands:
        """What is wanted of every engine of the grid and of its control, which goes with it.

        early  for each benchmark, ids of engines that begin their next round now
        """
        found: dict[tuple[str, str], tuple[Segment, ...]] = {}
        for name, race in self.races.items():
            for engine in self.engines:
                ahead = engine.engine_id in (early or {}).get(name, ())
                segments = self._segments(race, engine, ahead)
                found[engine.engine_id, name] = segments
                found[control_of(engine).engine_id, name] = segments
        return found

    def coming(self) -> Demands:
        """What may still be wanted: everything of the engines of the current rounds."""
        demands = dict(self.demands())
        for name in self.races:
            for engine_id in self.sampled(name):
                demands[engine_id, name] = everything(self.sweep)
        return demands

    def _segments(self, race: Race, engine: EngineSpec, ahead: bool) -> tuple[Segment, ...]:
        """One that takes no part has at least its first round, which is not decided by others."""
        looks = self.asked[race.benchmark].rules.looks
        if engine.engine_id not in race.grid.number:
            return (Segment(0, looks[0], len(self.sweep.token_budgets)),)
        segments = race.segments(engine.engine_id)
        if ahead and segments and segments[-1].stop < looks[-1]:
            last = segments[-1]
            after = looks[looks.index(last.stop) + 1]
            return (*segments, Segment(last.stop, after, last.budgets))
        return segments

    @property
    def looks(self) -> tuple[Look, ...]:
        """The decisions so far, of all benchmarks."""
        return tuple(look for race in self.races.values() for look in race.looks)

    @property
    def done(self) -> bool:
        """Whether every decision is made."""
        return all(race.done for race in self.races.values())

    def sampled(self, benchmark: str) -> Mapping[str, int]:
        """The engines of the current round, each with the number of its token budgets."""
        race = self.races[benchmark]
        return race.budgets(len(race.looks))


def race_of(asked: Asked) -> Race:
    return Race(
        asked.rules, asked.engines, asked.benchmark.name, asked.token_budgets, asked.group_sizes
    )


def restored(config: RunConfig, store: Store, engines: Iterable[EngineSpec]) -> Rounds:
    """The rounds as the folder's records tell of them, without reading any sample."""
    rounds = Rounds.begun(config.sweep, engines)
    asked, races = dict(rounds.asked), dict(rounds.races)
    for name, one in rounds.asked.items():
        records = read_looks(store, one)
        own = one.among(records[0].engines) if records else None
        if own is not None:
            asked[name], races[name] = own, race_of(own)
        for record in records:
            if record.engines == records[0].engines:
                races[name].restore(record.look)
    return Rounds(rounds.sweep, rounds.engines, asked, races)


def is_whole(plan: Plan, benchmark: str, engines: Collection[str]) -> bool:
    """Whether every sample that a plan wants of these engines on a benchmark is in a finished part."""
    return not any(
        planned.shard is not None
        and planned.benchmark == benchmark
        and planned.engine_id in engines
        for planned in plan.shards
    )


def decided(
    rounds: Rounds, store: Store, benchmark: str, votes: Mapping[str, Votes], tell: Tell
) -> Look:
    """Decide after a benchmark's current round, and see that the folder has the record of it.

    A record of the same decision is kept. Any other is replaced, and so are those that followed it.
    """
    race, asked = rounds.races[benchmark], rounds.asked[benchmark]
    before = tuple(race.looks)
    look = race.decide(votes)
    recorded = _recorded(store, asked, before)
    if recorded is not None and agree(recorded, look):
        return look
    later = drop_looks(store, asked, look.n)
    write_look(store, asked, before, look)
    if recorded is not None:
        tell(
            f"{benchmark}: the samples have changed since the decision after {look.n}; it is made anew"
        )
    elif later:
        tell(
            f"{benchmark}: the decisions after {look.n} samples were made by other rules; made anew"
        )
    return look


def _recorded(store: Store, asked: Asked, before: Sequence[Look]) -> Look | None:
    """The folder's record of the look that follows others, if it is one of the same engines."""
    records = read_looks(store, asked)
    same = [one.look for one in records if one.engines == asked.names]
    return same[len(before)] if len(same) > len(before) else None

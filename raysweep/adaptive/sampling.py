"""What an adaptive run's folder holds, what was decided by it, and what is wanted next.

The folder is the truth: a round is whole when every sample that it wants is in a finished part, whoever made
it. Then its look is decided, and compared with the record of it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from raysweep.adaptive.chances import chances
from raysweep.adaptive.decisions import Look
from raysweep.adaptive.rounds import Rounds, Tell, decided, is_whole
from raysweep.adaptive.vote_reading import VoteReader
from raysweep.adaptive.votes import Votes
from raysweep.grading.equivalence import Equivalence
from raysweep.planning.demand import Demands
from raysweep.planning.plan import Plan, make_plan
from raysweep.run_config import RunConfig
from raysweep.shard import Shard
from raysweep.spec import EngineSpec
from raysweep.storage.part import Part
from raysweep.storage.store import Store


class Folder(Protocol):
    """The parts in a run's folder."""

    def look(self) -> None:
        """List the folder again."""
        ...

    @property
    def parts(self) -> tuple[Part, ...]: ...


@dataclass(eq=False)
class FolderSampling:
    """The rounds of a run, decided from its folder (`supply.Sampling`).

    rendered  gives shards with their questions as the model reads them
    decides   called with each look as soon as it is decided
    """

    config: RunConfig
    folder: Folder
    store: Store
    engines: Sequence[EngineSpec]
    equivalence: Equivalence
    tell: Tell = lambda line: None
    decides: Callable[[Look], None] = lambda look: None
    rendered: Callable[[Sequence[Shard]], Sequence[Shard]] = lambda shards: shards
    rounds: Rounds = field(init=False)

    def __post_init__(self) -> None:
        self.rounds = Rounds.begun(self.config.sweep, self.engines)
        self.reader = VoteReader(self.config.sweep, self.store, self.equivalence)
        self._grid = {engine.engine_id: engine for engine in self.rounds.engines}
        self._benchmarks = {one.name: one for one in self.config.sweep.benchmarks}
        self._left_out: set[str] = set()
        self._made: list[Shard] = []  # finished since the folder was listed
        self._chances: dict[str, dict[str, float]] = {}

    @property
    def benchmarks(self) -> Sequence[str]:
        return tuple(self._benchmarks)

    def begin(self) -> None:
        """Decide every look of every benchmark whose samples are all there."""
        self._look()
        for benchmark in self._benchmarks:
            self.advance(benchmark)

    def leave_out(self, engine_ids: Collection[str]) -> None:
        """Begin anew without some engines, which fit nowhere: no round would ever be whole with them."""
        if not set(engine_ids) <= self._left_out:
            self._left_out |= set(engine_ids)
            self.rounds = Rounds.begun(self.config.sweep, self.engines, self._left_out)
            self.begin()

    def advance(self, benchmark: str) -> bool:
        """Decide each look of a benchmark whose samples are all there. Gives whether there was any."""
        race, before = self.rounds.races[benchmark], len(self.rounds.races[benchmark].looks)
        while not race.done:
            self._look()
            plan = self.plan(self._demands(benchmark))
            self.reader.note_plan(plan)
            engines = self.rounds.sampled(benchmark)
            if not is_whole(plan, benchmark, engines):
                break
            own = [(self._grid[name], budgets) for name, budgets in engines.items()]
            votes = self.reader.votes_of_all(own, self._benchmarks[benchmark], race.n)
            if votes is None:  # A damaged part was set aside, so the round is not whole after all.
                break
            self.decides(decided(self.rounds, self.store, benchmark, votes, self.tell))
            self._chances[benchmark] = self._chances_by(votes)
        return len(race.looks) > before

    def _look(self) -> None:
        self.folder.look()
        self._made.clear()

    def _chances_by(self, votes: Mapping[str, Votes]) -> dict[str, float]:
        sweep = self.config.sweep
        return chances(votes, self.rounds.engines, sweep.token_budgets, sweep.batch_sizes)

    def chance(self, engine_id: str) -> float:
        found = [
            by_engine[engine_id] for by_engine in self._chances.values() if engine_id in by_engine
        ]
        return max(found, default=1.0)

    def plan(self, demands: Demands, held: Iterable[Shard] = ()) -> Plan:
        """The plan of what is wanted, in which the shards that are `held` count as finished."""
        there = (*self.folder.parts, *map(as_part, (*self._made, *held)))
        return make_plan(self.config, there, demands)

    def finished(self, shard: Shard) -> None:
        self._made.append(shard)
        self.reader.note(shard)

    def engines_of(self, benchmark: str) -> Collection[str]:
        return self.rounds.sampled(benchmark).keys()

    def to_do(
        self, benchmark: str, held: Iterable[Shard], early: Collection[str] = ()
    ) -> Sequence[Shard]:
        demands = self._demands(benchmark, early)
        if early:
            demands = {key: own if key[0] in early else () for key, own in demands.items()}
        return self._of_plan(self.plan(demands, held))

    def _of_plan(self, plan: Plan) -> Sequence[Shard]:
        return self.rendered(
            [one for one in plan.to_do if one.engine.engine_id not in self._left_out]
        )

    def _demands(self, benchmark: str, early: Collection[str] = ()) -> Demands:
        """What is wanted on one benchmark, and nothing on the others."""
        demands = self.rounds.demands({benchmark: early})
        return {key: own if key[1] == benchmark else () for key, own in demands.items()}

    def leaders(self, benchmark: str, engines: Collection[str]) -> set[str]:
        race, sampled = self.rounds.races[benchmark], self.rounds.sampled(benchmark)
        if race.done:
            return set()
        found = [
            self.reader.votes(self._grid[name], self._benchmarks[benchmark], sampled[name], race.n)
            for name in sorted(engines)
        ]
        return race.clear_leaders([votes for votes in found if votes is not None])

    def coming(self) -> tuple[Shard, ...]:
        """All shards that later rounds may want, as if every live engine lived on."""
        return tuple(self._of_plan(self.plan(self.rounds.coming())))


def as_part(shard: Shard) -> Part:
    """A shard that is being made, as its part will be."""
    return Part(
        engine_id=shard.engine.engine_id,
        shard_id=shard.shard_id,
        stream_id=shard.stream_id,
        questions={question.question_id: question.asked for question in shard.questions},
        sample_start=shard.sample_start,
        sample_count=shard.sample_count,
    )

"""The votes of engines, read from a run's folder. One engine's samples are in memory at a time."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from raysweep.adaptive.votes import Votes, votes_of
from raysweep.grading.equivalence import Equivalence
from raysweep.planning.plan import Plan
from raysweep.reducing.partitions import Partition, read_partition
from raysweep.run_config import Sweep
from raysweep.shard import Place, Shard
from raysweep.spec import Benchmark, EngineSpec
from raysweep.storage.part_file import shard_place
from raysweep.storage.store import Store

Stream = tuple[str, str]  # engine id, benchmark


@dataclass(eq=False)
class VoteReader:
    """Reads votes, and keeps the last of each engine on each benchmark.

    finished  the ids of the questions that count in each finished part, by its place
    """

    sweep: Sweep
    store: Store
    equivalence: Equivalence
    finished: dict[Stream, dict[Place, tuple[str, ...]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    _read: dict[Stream, tuple[int, int, Votes]] = field(default_factory=dict)

    def note_plan(self, plan: Plan) -> None:
        """Take in which parts are finished by a plan."""
        self.finished.clear()
        for one in plan.shards:
            if one.place is not None:
                self.finished[one.engine_id, one.benchmark][one.place] = one.question_ids

    def note(self, shard: Shard) -> None:
        """Take in that the part of a shard is finished."""
        questions = tuple(question.question_id for question in shard.questions)
        engine_id = shard.engine.engine_id
        place = shard_place(engine_id, shard.shard_id)
        self.finished[engine_id, shard.benchmark][place] = questions

    def votes(self, engine: EngineSpec, benchmark: Benchmark, budgets: int, n: int) -> Votes | None:
        """An engine's votes: n samples of each question, at the first `budgets` token budgets.

        None if samples are missing. A part that cannot be read is set aside, so that its samples are.
        """
        stream = engine.engine_id, benchmark.name
        known = self._read.get(stream)
        if known is not None and known[:2] == (budgets, n):
            return known[2]
        partition = Partition(engine, benchmark.name, {}, self.finished[stream], 0)
        read = read_partition(partition, self.sweep, self.store)
        token_budgets = self.sweep.token_budgets[:budgets]
        votes = votes_of(
            read.samples, engine.engine_id, benchmark, token_budgets, n, self.equivalence
        )
        if not votes.whole(budgets):
            return None
        self._read[stream] = budgets, n, votes
        return votes

    def votes_of_all(
        self, engines: Iterable[tuple[EngineSpec, int]], benchmark: Benchmark, n: int
    ) -> dict[str, Votes] | None:
        """The votes of several engines, each with the number of its budgets. None if any are missing."""
        found: dict[str, Votes] = {}
        for engine, budgets in engines:
            votes = self.votes(engine, benchmark, budgets, n)
            if votes is None:
                return None
            found[engine.engine_id] = votes
        return found

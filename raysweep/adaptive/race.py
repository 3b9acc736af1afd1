"""The rounds of one benchmark: what is live, what is wanted, and the decision after each round."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from raysweep.adaptive.critical_value import Bools, Comparisons, Indices
from raysweep.adaptive.decisions import Look, Out, Place
from raysweep.adaptive.elimination import eliminate
from raysweep.adaptive.grid import Cell, Grid, index, reach
from raysweep.adaptive.influence import accuracy_and_influence
from raysweep.adaptive.rules import Rules, judged_groups
from raysweep.adaptive.votes import Votes
from raysweep.frontier import frontier_points
from raysweep.metrics import Floats
from raysweep.planning.demand import Demands, Segment
from raysweep.spec import EngineSpec
from raysweep.system.content import content_hash


class Race:
    """The engines of a benchmark that are sampled in rounds.

    live    whether each configuration is live at each batch size: [batch sizes, engines, budgets, groups]
    debts   the most by which the best of those that each stands for may be better than it: the same shape
    looks   the decisions so far

    stopped_at  the samples per question after which each configuration was out, alone or with its engine

    Every configuration is live at first, if its bytes without a prompt fit the memory that is asked for.
    """

    def __init__(
        self,
        rules: Rules,
        engines: Sequence[EngineSpec],
        benchmark: str,
        token_budgets: Sequence[int],
        group_sizes: Sequence[int],
    ):
        self.rules, self.benchmark = rules, benchmark
        self.grid = Grid(tuple(engines), tuple(token_budgets), tuple(group_sizes))
        self.looks: list[Look] = []
        self.stopped_at: dict[Place, int] = {}
        self._prompts = np.zeros(len(self.grid.engines), dtype=np.int64)
        shape = (len(rules.batch_sizes), *self.grid.shape)
        self.live: Bools = np.ones(shape, dtype=np.bool_)
        self.debts: Floats = np.zeros(shape)
        self.live &= self._fits()
        self._first = self._budgets()

    @property
    def n(self) -> int:
        """The number of samples per question at the look to come, or at the end."""
        return self.rules.looks[min(len(self.looks), len(self.rules.looks) - 1)]

    @property
    def done(self) -> bool:
        """Whether every decision is made. At the last look all samples are known, and nothing is decided."""
        return len(self.looks) == len(self.rules.looks) - 1

    def budgets(self, look: int) -> Mapping[str, int]:
        """Of each engine that has a round before that look, the number of its token budgets there."""
        return self.looks[look - 1].budgets if look else self._first

    def segments(self, engine_id: str) -> tuple[Segment, ...]:
        """What is wanted of an engine up to and with the current round; () for one that never starts."""
        found, start = [], 0
        for look in range(len(self.looks) + 1):
            budgets = self.budgets(look).get(engine_id, 0)
            if not budgets:
                break
            found.append(Segment(start, self.rules.looks[look], budgets))
            start = self.rules.looks[look]
        return tuple(found)

    def demands(self) -> Demands:
        return {
            (engine.engine_id, self.benchmark): self.segments(engine.engine_id)
            for engine in self.grid.engines
        }

    def decide(self, votes: Mapping[str, Votes]) -> Look:
        """Decide after the current round, by the votes of each of its engines: n samples of each question.

        Raises ValueError if votes of the round are missing.
        """
        if self.done:
            raise ValueError(f"{self.benchmark}: every decision is made")
        own = self._checked(votes)
        prompts = {engine_id: theirs.prompt_tokens for engine_id, theirs in own.items()}
        before = np.any(self.live, axis=0)
        self._take_prompts(prompts)
        places = self._judged()
        out, critical, compared = self._compared(own, places)
        inputs = content_hash(self.n, sorted((key, one.content) for key, one in own.items()))
        self._drop_unjudged()
        look = Look(
            self.benchmark, self.n, inputs, critical, compared, out, self._budgets(), prompts
        )
        self._take_in(look, before)
        return look

    def restore(self, look: Look) -> None:
        """Take over a decision that was made before."""
        before = np.any(self.live, axis=0)
        self._take_prompts(look.prompts)
        batches = {size: at for at, size in enumerate(self.rules.batch_sizes)}
        for out in look.out:
            batch, by = batches[out.batch_size], self.grid.cell(out.by)
            self.live[batch][self.grid.cell(out.place)] = False
            self.debts[batch][by] = max(self.debts[batch][by], out.margin)
        for engine_id, at in self.grid.number.items():
            self.live[:, at, look.budgets.get(engine_id, 0) :] = False
        self._take_in(look, before)

    def _take_prompts(self, prompts: Mapping[str, int]) -> None:
        """Note the longest prompts. What does not fit with them is live no more."""
        for engine_id, tokens in prompts.items():
            self._prompts[self.grid.number[engine_id]] = tokens
        self.live &= self._fits()

    def _take_in(self, look: Look, before: Bools) -> None:
        """Note a decision, and what has stopped with it of the cells that were live `before`."""
        for cell in np.argwhere(before & ~np.any(self.live, axis=0)).tolist():
            self.stopped_at[self.grid.place(tuple(cell))] = look.n
        self.looks.append(look)

    def clear_leaders(self, votes: Iterable[Votes]) -> set[str]:
        """The engines among these that lead at some memory, so that they will surely live on.

        It is a prediction, by which work may begin early, and no decision.
        """
        own = {one.engine_id: one for one in votes}
        places = [place for place in self._judged() if self.grid.engine_id(place) in own]
        if not places:
            return set()
        accuracy, _ = self._measured(own, places)
        found: set[str] = set()
        for batch in range(len(self.rules.batch_sizes)):
            leaders = frontier_points(self._memory(batch)[index(places)], accuracy)
            if self.rules.memory_bytes is not None:
                leaders = leaders[-1:]
            found |= {self.grid.engine_id(places[leader]) for leader in leaders}
        return found

    def _checked(self, votes: Mapping[str, Votes]) -> dict[str, Votes]:
        own = {}
        for engine_id, budgets in self.budgets(len(self.looks)).items():
            theirs = votes.get(engine_id)
            if theirs is None or theirs.n != self.n or not theirs.whole(budgets):
                raise ValueError(
                    f"{self.benchmark}: {engine_id} lacks samples of the first {self.n} at its first "
                    f"{budgets} token budgets"
                )
            own[engine_id] = theirs
        return own

    def _judged(self) -> list[Cell]:
        """The live configurations whose group is judged at this look, by their places in the grid."""
        groups = judged_groups(self.grid.group_sizes, self.n)
        judged = np.any(self.live, axis=0) & np.isin(self.grid.group_sizes, groups)
        return [tuple(place) for place in np.argwhere(judged).tolist()]

    def _measured(
        self, votes: Mapping[str, Votes], places: Sequence[Cell]
    ) -> tuple[Floats, Floats]:
        """Accuracy and influence of the samples: [places], [places, samples]."""
        groups = judged_groups(self.grid.group_sizes, self.n)
        accuracy, influence = np.empty(len(places)), []
        by_engine: dict[int, list[int]] = {}
        for row, (engine, _, _) in enumerate(places):
            by_engine.setdefault(engine, []).append(row)
        for engine, rows in by_engine.items():
            choice = votes[self.grid.engines[engine].engine_id].choice
            budgets = sorted({places[row][1] for row in rows})
            found, of = accuracy_and_influence(choice[budgets], groups, self.rules.looks[-1])
            at = [(budgets.index(places[row][1]), places[row][2]) for row in rows]
            accuracy[rows] = [found[place] for place in at]
            influence.append(np.stack([of[place].ravel() for place in at]))
        return accuracy, np.concatenate(influence)

    def _compared(
        self, votes: Mapping[str, Votes], places: Sequence[Cell]
    ) -> tuple[tuple[Out, ...], float, int]:
        """Those that are out, the critical value and the number of comparisons."""
        if len(places) < 2:
            return (), 0.0, 0
        accuracy, influence = self._measured(votes, places)
        comparisons = Comparisons.of(accuracy, influence, 1 - self.n / self.rules.looks[-1])
        at = index(places)
        orders = [self._order(batch, places, accuracy) for batch in self._batches()]
        possible = [self._possible(batch, places, order) for batch, order in enumerate(orders)]
        critical = comparisons.critical_value(possible, self.rules.epsilon, self.rules.alpha)
        most_ahead = comparisons.most_ahead(critical)
        out = []
        for batch, order in zip(self._batches(), orders, strict=True):
            live, debts = self.live[batch][at], self.debts[batch][at]
            for one in eliminate(most_ahead, order, live, debts, self.rules.epsilon):
                pair = (self.grid.place(places[one.out]), self.grid.place(places[one.by]))
                out.append(Out(pair[0], self.rules.batch_sizes[batch], pair[1], one.margin))
            self.live[batch][at], self.debts[batch][at] = live, debts
        return tuple(out), critical, int(np.any(possible, axis=0).sum())

    def _order(self, batch: int, places: Sequence[Cell], accuracy: Floats) -> Indices:
        """A configuration may take the place of those after it.

        On a frontier that is one of at least as much memory. Within a memory all that fit compete, and the
        better one may take the place.
        """
        size = self._memory(batch)[index(places)]
        if self.rules.memory_bytes is None:
            return np.argsort(size, kind="stable")
        return np.lexsort((size, -accuracy))

    def _possible(self, batch: int, places: Sequence[Cell], order: Indices) -> Bools:
        """Whether the first may take the place of the second: [first, second]."""
        live = self.live[batch][index(places)]
        rank = np.empty(len(places), dtype=np.intp)
        rank[order] = np.arange(len(places))
        # Within a memory, which of two is the better one depends on the samples.
        any_order = self.rules.memory_bytes is not None
        before = rank[:, None] != rank if any_order else rank[:, None] < rank
        return before & live[:, None] & live

    def _drop_unjudged(self) -> None:
        """Let larger groups live no longer than their engine, and no higher than its largest live budget."""
        groups = judged_groups(self.grid.group_sizes, self.n)
        judged = np.any(self.live & np.isin(self.grid.group_sizes, groups), axis=(0, 3))
        for engine, budgets in enumerate(judged):
            self.live[:, engine, reach(budgets) :] = False

    def _budgets(self) -> dict[str, int]:
        """Of each live engine, the number of its token budgets up to the largest live one."""
        found = {
            engine.engine_id: reach(np.any(self.live[:, at], axis=(0, 2)))
            for at, engine in enumerate(self.grid.engines)
        }
        return {engine_id: budgets for engine_id, budgets in found.items() if budgets}

    def _batches(self) -> range:
        return range(len(self.rules.batch_sizes))

    def _fits(self) -> Bools:
        """Whether each configuration fits the memory that is asked for, if there is one."""
        limit = self.rules.memory_bytes
        own = [self.grid.fits(self._prompts, size, limit) for size in self.rules.batch_sizes]
        return np.stack(own)

    def _memory(self, batch: int) -> Floats:
        """Bytes per question of a batch: [engines, budgets, groups]."""
        return self.grid.memory_bytes(self._prompts, self.rules.batch_sizes[batch])

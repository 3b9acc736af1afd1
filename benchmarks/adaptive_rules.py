"""Rules that stop engines, put to a full run whose samples are all known.

`racing` is raysweep's own (`raysweep.adaptive.race`). Beside it stand two plainer ones with the same looks:
racing whose standard errors leave out that samples are paired, and successive halving, which stops the half
of the engines that is farthest from the frontier and promises nothing. `oracle` knows the full run, and so
shows what no rule can save.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raysweep.adaptive.critical_value import Bools
from raysweep.adaptive.grid import Cell, Grid, reach
from raysweep.adaptive.race import Race
from raysweep.adaptive.rules import Rules, judged_groups
from raysweep.adaptive.votes import Votes
from raysweep.metrics import Floats, Ints


@dataclass(frozen=True, eq=False)
class FullRun:
    """All samples of one benchmark.

    prompts   tokens of each engine's longest prompt: [engines]
    votes     of an engine by its position, its first n samples, and its first token budgets
    accuracy  of the first n samples: [engines, budgets, groups], NaN for groups larger than n
    tokens    of each sample up to its first token budgets, over all questions, and answers with them:
              [engines, budgets + 1, samples], where none are 0
    """

    benchmark: str
    grid: Grid
    prompts: Ints
    votes: Callable[[int, int, int], Votes]
    accuracy: Callable[[int], Floats]
    tokens: Floats

    @cached_property
    def found(self) -> Floats:
        """What the full run finds: [engines, budgets, groups]."""
        return self.accuracy(self.tokens.shape[2])

    def order(self, batch_size: int) -> tuple[NDArray[np.intp], Floats]:
        """All configurations by memory, and their bytes in this order."""
        size = self.grid.memory_bytes(self.prompts, batch_size).ravel()
        order = np.argsort(size, kind="stable")
        return order, size[order]

    def fits(self, rules: Rules) -> Bools:
        """Whether each configuration is asked for: [engines, budgets, groups]."""
        # A memory is asked for at a single batch size.
        return self.grid.fits(self.prompts, rules.batch_sizes[0], rules.memory_bytes)


@dataclass(frozen=True, eq=False)
class Ended:
    """What a rule has sampled, and what it has not put out.

    budgets  token budgets of each engine in each round, 0 for none: [looks, engines]
    live     at each batch size: [batch sizes, engines, budgets, groups]
    """

    budgets: Ints
    live: Bools

    def tokens(self, rules: Rules, run: FullRun) -> Floats:
        """Tokens of each engine: [engines]."""
        engines, spent = np.arange(len(run.prompts)), np.zeros(len(run.prompts))
        for start, stop, budgets in zip((0, *rules.looks), rules.looks, self.budgets, strict=False):
            spent += run.tokens[engines, budgets, start:stop].sum(axis=1)
        return spent


Rule = Callable[[Rules, FullRun], Ended]


def racing(rules: Rules, run: FullRun, kind: type[Race] = Race) -> Ended:
    """raysweep's rule."""
    race = kind(
        rules, run.grid.engines, run.benchmark, run.grid.token_budgets, run.grid.group_sizes
    )
    rounds = []
    while True:
        own = race.budgets(len(race.looks))
        rounds.append([own.get(engine_id, 0) for engine_id in run.grid.number])
        if race.done:
            return Ended(np.array(rounds), race.live)
        numbers = run.grid.number
        race.decide({key: run.votes(numbers[key], race.n, most) for key, most in own.items()})


class _UnpairedRace(Race):
    """Racing in which no two configurations share the errors of their samples."""

    def _measured(
        self, votes: Mapping[str, Votes], places: Sequence[Cell]
    ) -> tuple[Floats, Floats]:
        accuracy, influence = super()._measured(votes, places)
        own = np.diag(np.sqrt((influence**2).sum(axis=1)))
        # The number of columns says how many samples there are.
        unused = max(0, influence.shape[1] - len(own))
        return accuracy, np.pad(own, ((0, 0), (0, unused)))


def unpaired(rules: Rules, run: FullRun) -> Ended:
    return racing(rules, run, _UnpairedRace)


def halving(rules: Rules, run: FullRun) -> Ended:
    """Successive halving: at each look the better half of the engines goes on, with all its budgets.

    An engine counts by its configuration that is nearest to the frontier, or to the best within a memory.
    """
    fits, rounds = run.fits(rules), []
    live = np.any(fits, axis=(1, 2))
    for n in rules.looks:
        rounds.append(np.where(live, len(run.grid.token_budgets), 0))
        if n == rules.looks[-1]:
            break
        judged = judged_groups(run.grid.group_sizes, n)
        known = fits & live[:, None, None] & np.isin(run.grid.group_sizes, judged)
        accuracy = np.where(known, run.accuracy(n), -np.inf)
        behind = np.min([_behind(run, accuracy, rules, size) for size in rules.batch_sizes], axis=0)
        ranked = np.argsort(np.where(live, behind, np.inf), kind="stable")
        live[ranked[-(-int(live.sum()) // 2) :]] = False
    alive = fits & live[:, None, None]
    return Ended(np.array(rounds), np.stack([alive] * len(rules.batch_sizes)))


def _behind(run: FullRun, accuracy: Floats, rules: Rules, batch_size: int) -> Floats:
    """How far each engine's nearest configuration is behind the best of at most its memory: [engines]."""
    if rules.memory_bytes is not None:
        return accuracy.max() - accuracy.max(axis=(1, 2))
    order, _ = run.order(batch_size)
    best = np.empty(accuracy.size)
    best[order] = np.maximum.accumulate(accuracy.ravel()[order])
    known = np.isfinite(accuracy)
    gap = np.where(known, best.reshape(accuracy.shape) - np.where(known, accuracy, 0), np.inf)
    return gap.min(axis=(1, 2))


def oracle(rules: Rules, run: FullRun) -> Ended:
    """What is spent by one that knows the full run but looks first like all others.

    After the first look it samples only a cover of the frontier: the fewest configurations with which no more
    than epsilon is lost at any memory.
    """
    fits = run.fits(rules)
    live = np.zeros((len(rules.batch_sizes), *run.grid.shape), dtype=np.bool_)
    for own, size in zip(live, rules.batch_sizes, strict=True):
        order, _ = run.order(size)
        accuracy = np.where(fits, run.found, -np.inf).ravel()[order]
        covered, best = -np.inf, np.maximum.accumulate(accuracy)
        if rules.memory_bytes is not None:
            covered = best[-1] - 2 * rules.epsilon
        for at in np.flatnonzero(best > covered):
            if best[at] - covered > rules.epsilon:
                own.ravel()[order[at]] = True
                covered = best[at]
    needed = np.any(live, axis=(0, 3))
    budgets = np.array([reach(row) for row in needed])
    first = np.array([reach(row) for row in np.any(fits, axis=2)])
    return Ended(np.array([first, *[budgets] * (len(rules.looks) - 1)]), live)

"""How often an adaptive run breaks its promise where that is most likely.

In most worlds few configurations are close to the promised epsilon, so a rule may look better than it is.
Here the full run's accuracies are set exactly, for single samples of the 18 engines with the full cache. Of
these 144 configurations, by memory,

leaders  rise in steps of just more than epsilon, with many equal ones on each step. Each step's first one
         leads, and must not be lost to any of the step before.
chains   rise in steps of just less than epsilon. One may be lost to the step before, but not to the one
         before that, so what takes a place must stand for what it stood for.
best     are all equal, but one that is better by just more than epsilon, and only the best is asked for

Epsilon is so large that samples of so few questions can decide at all. The promise is that at most DELTA of
the runs lose more than it.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import ceil, floor
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from benchmarks.adaptive_planted import count_by_tables, full_run
from benchmarks.adaptive_promise import lost, share
from benchmarks.adaptive_rules import FullRun, racing
from benchmarks.coupled_worlds import CoupledWorld, Samples, like_published, margins
from benchmarks.planted_worlds import study_grid
from raysweep.adaptive.rules import Rules, looks
from raysweep.metrics import Ints

WORLDS, SAMPLES, DELTA = 400, 32, 0.05
EPSILONS = {30: 0.05, 198: 0.02}  # by the number of questions
BENCHMARK, BATCH_SIZE = "aime25", 1
# Accuracies from the first step to the last one, and of equal ones.
LOW, HIGH, EQUAL = 0.2, 0.8, 0.5

# Right samples of the configurations by memory, given their number, the samples of each, epsilon, the seed.
Levels = Callable[[int, int, float, int], Ints]


def _stairs(configurations: int, samples: int, step: int) -> Ints:
    steps = floor((HIGH - LOW) * samples / step)
    return floor(LOW * samples) + step * (np.arange(configurations) * steps // configurations)


def leaders(configurations: int, samples: int, epsilon: float, seed: int) -> Ints:
    return _stairs(configurations, samples, floor(epsilon * samples) + 1)


def chains(configurations: int, samples: int, epsilon: float, seed: int) -> Ints:
    return _stairs(configurations, samples, ceil(epsilon * samples) - 1)


def best(configurations: int, samples: int, epsilon: float, seed: int) -> Ints:
    levels = np.full(configurations, floor(EQUAL * samples))
    place = np.random.default_rng(seed).integers(configurations)
    levels[place] += floor(epsilon * samples) + 1
    return levels


KINDS: dict[str, Levels] = {"leaders": leaders, "chains": chains, "best": best}


@dataclass(frozen=True)
class Trial:
    kind: str
    coupling: str
    questions: int
    seed: int

    @property
    def epsilon(self) -> float:
        return EPSILONS[self.questions]

    @property
    def rules(self) -> Rules:
        memory = float("inf") if self.kind == "best" else None
        return Rules(looks(SAMPLES), self.epsilon, DELTA, (BATCH_SIZE,), memory)


def exactly(world: CoupledWorld, right: NDArray[np.intp], questions: int, seed: int) -> Samples:
    """A full run in which so many samples of each engine are right at each budget: [engines, budgets].

    Which ones is drawn as ever: those with the largest margins.
    """
    drawn = margins(world, questions, seed, SAMPLES)
    margin = drawn.margin.reshape(*right.shape, -1)
    chosen = np.zeros(margin.shape, dtype=np.bool_)
    for place in np.ndindex(right.shape):
        largest = np.argpartition(-margin[place], right[place])[: right[place]]
        chosen[place][largest] = True
    return Samples(chosen.reshape(drawn.margin.shape), drawn.common)


def a_run(trial: Trial) -> FullRun:
    """The full run of a trial."""
    grid = study_grid(full_cache_alone=True)
    world = like_published(BENCHMARK, trial.coupling, grid)
    shape = world.world.ability.shape
    empty = Samples(np.zeros((*shape, 1, 1), np.bool_), np.zeros((shape[0], 1, 1), np.bool_))
    order, _ = full_run(BENCHMARK, world, empty, (1,)).order(BATCH_SIZE)
    right = np.empty(order.size, dtype=np.intp)
    asked = (order.size, trial.questions * SAMPLES, trial.epsilon, trial.seed)
    right[order] = KINDS[trial.kind](*asked)
    samples = exactly(world, right.reshape(shape), trial.questions, trial.seed)
    return full_run(BENCHMARK, world, samples, (1,))


def outcome(trial: Trial) -> tuple[float, bool, float]:
    """The loss of accuracy, whether the promise is kept, and the share of tokens."""
    count_by_tables()
    run, rules = a_run(trial), trial.rules
    ended = racing(rules, run)
    found = lost(rules, run, ended)
    tokens = float(ended.tokens(rules, run).sum() / run.tokens[:, -1].sum())
    return found.accuracy, found.kept(trial.epsilon), tokens


def rows(worlds: int, processes: int) -> Iterator[str]:
    """The lines of the table."""
    kinds = [
        (kind, coupling, n) for n in EPSILONS for coupling in ("by loss", "none") for kind in KINDS
    ]
    trials = [Trial(*kind, seed) for kind in kinds for seed in range(worlds)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        found = pool.map(outcome, trials, chunksize=10)
        for kind, coupling, questions in kinds:
            losses, kept, tokens = zip(*(next(found) for _ in range(worlds)), strict=True)
            broken = share(worlds - sum(kept), worlds)
            epsilon = f"{100 * EPSILONS[questions]:g}"
            cells = [kind, coupling, str(questions), epsilon, broken, f"{100 * max(losses):.2f}"]
            yield f"| {' | '.join([*cells, f'{np.mean(tokens):.2f}'])} |"


HEADING = """\
| configurations | coupling | questions | epsilon | promise broken | worst loss | tokens |
| --- | --- | ---: | ---: | --- | ---: | ---: |"""


def main(worlds: int | None, processes: int) -> None:
    print(HEADING)
    for line in rows(worlds or WORLDS, processes):
        print(line, flush=True)

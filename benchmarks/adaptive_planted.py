"""Full runs in planted worlds, and what their tokens cost on the study's GPUs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from benchmarks import coupled_worlds
from benchmarks.adaptive_rules import FullRun
from benchmarks.configured import configured
from benchmarks.coupled_worlds import CoupledWorld, Samples
from benchmarks.planted_worlds import (
    GROUP_SIZES,
    PROMPT_TOKENS,
    TOKEN_BUDGETS,
    study_grid,
    wins_of_counts,
)
from raysweep.adaptive import race
from raysweep.adaptive.grid import Grid
from raysweep.adaptive.votes import Votes
from raysweep.metrics import Floats, Ints
from raysweep.planning.grid import is_full
from raysweep.planning.lengths import run_lengths
from raysweep.planning.placements import placements

# A number or a letter in a box. The 1,024 tokens that a benchmark allows are hardly ever used.
ANSWER_TOKENS = 32

STUDY_LIKE, PUBLISHED = "study-like", "published"
LAWS = (STUDY_LIKE, PUBLISHED)


@dataclass(frozen=True, eq=False)
class Prices:
    """What engines cost on H100s, in GPU-seconds: [engines]."""

    token: Floats
    load: Floats


@lru_cache
def prices() -> Prices:
    """Those of the plan, with vLLM for the full cache and torch for other policies."""
    changes = ("sweep.benchmarks=[chain]", "cluster=existing", "cluster.gpu=h100-80")
    config = configured("+sweep=full", "cluster.gpus=64", *changes)
    lengths, found = run_lengths(config), []
    for engine in study_grid().engines:
        engine = replace(engine, backend="vllm" if is_full(engine) else "torch")
        place = placements(engine, config.generation, config.cluster, lengths)[0]
        found.append((place.token_s * place.fit.gpus, place.speed.load_s * place.fit.gpus))
    token, load = np.array(found).T
    return Prices(token, load)


def worlds(law: str, coupling: str) -> Mapping[str, CoupledWorld]:
    """A world for each benchmark of the study."""
    if law == STUDY_LIKE:
        world = coupled_worlds.like_the_study(coupling)
        return dict.fromkeys(coupled_worlds.LAWS, world)
    return {name: coupled_worlds.like_published(name, coupling) for name in coupled_worlds.LAWS}


def drawn(law: str, coupling: str, questions: Sequence[int], seed: int) -> list[FullRun]:
    """A full run of each of the first benchmarks, with so many questions."""
    own = worlds(law, coupling).items()
    return [
        full_run(name, world, coupled_worlds.draw(world, count, 1_000 * at + seed))
        for at, ((name, world), count) in enumerate(zip(own, questions, strict=False))
    ]


def count_by_tables() -> None:
    """Let races of this process count votes by `tabulated`, which takes a third of the time."""
    race.accuracy_and_influence = tabulated


def tabulated(choice: Ints, groups: Sequence[int], samples: int) -> tuple[Floats, Floats]:
    """`influence.accuracy_and_influence` of planted answers, from tables of what votes win.

    A planted answer is right (0), the question's common wrong one (1), or like no other.
    """
    n = choice.shape[2]
    right, common = choice == 0, choice == 1
    cell = right.sum(axis=2), common.sum(axis=2)
    scores = wins_of_counts(n, tuple(groups))[cell]
    fewer = cell[0][..., None] - right, cell[1][..., None] - common
    without = wins_of_counts(n - 1, tuple(groups))[fewer]
    scale = np.sqrt((n - 1) / n * (1 - n / samples)) / choice.shape[1]
    influence = scale * (without.mean(axis=2, keepdims=True) - without)
    return scores.mean(axis=1), np.moveaxis(influence, -1, 1)


def full_run(
    name: str, world: CoupledWorld, samples: Samples, groups: tuple[int, ...] = GROUP_SIZES
) -> FullRun:
    engines = world.world.grid.engines
    _, _, questions, n = samples.right.shape
    budgets = np.arange(len(TOKEN_BUDGETS) + 1)
    each = np.array([0, *TOKEN_BUDGETS]) + budgets * ANSWER_TOKENS
    tokens = np.broadcast_to(
        (questions * each)[None, :, None].astype(float), (len(engines), len(each), n)
    )

    def votes(engine: int, first: int, most: int) -> Votes:
        choice = samples.choice(engine, first, most)
        return Votes(engines[engine].engine_id, choice, PROMPT_TOKENS)

    def accuracy(first: int) -> Floats:
        return _accuracy(samples, first, groups)

    prompts = np.full(len(engines), PROMPT_TOKENS)
    return FullRun(name, Grid(engines, TOKEN_BUDGETS, groups), prompts, votes, accuracy, tokens)


def _accuracy(samples: Samples, n: int, groups: tuple[int, ...]) -> Floats:
    """[engines, budgets, groups] by the first n samples; NaN for groups larger than n."""
    known = tuple(group for group in groups if group <= n)
    wins, found = wins_of_counts(n, known), np.full((*samples.right.shape[:2], len(groups)), np.nan)
    for engine, common in enumerate(samples.common[..., :n]):
        right = samples.right[engine, ..., :n]
        alike = (~right & common).sum(axis=2)
        found[engine, :, : len(known)] = wins[right.sum(axis=2), alike].mean(axis=1)
    return found

"""Worlds with a known truth: the study's grid, answered by a formula instead of models.

A world says how able each engine is at each budget, and how hard its questions are. From it come the scores
that a run of some questions would give (`drawn`), and the accuracies that no run knows, those over all
questions of this kind and all samples (`truth`). So a claim made of the former can be judged by the latter.

An answer is right with the logistic probability of the engine's ability at the budget, less the question's
difficulty, plus the interaction of this engine with this question. A wrong one is the question's common wrong
answer, or one that no other sample gives. A sample keeps its luck from one budget to the next with
probability KEPT, since the budgets of a trace share its tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import comb
from statistics import NormalDist

import numpy as np

from benchmarks.configured import configured
from raysweep import memory
from raysweep.analysis.candidates import Candidate, Candidates
from raysweep.metrics import Floats, maj_at_k
from raysweep.planning.grid import engines
from raysweep.planning.plan_tables import described
from raysweep.spec import EngineSpec

GROUP_SIZES = (1, 3, 4, 6, 8, 12, 16)
TOKEN_BUDGETS = tuple(range(2_000, 32_000, 4_000))
SAMPLES, PROMPT_TOKENS = 16, 200
KEPT = 0.8

# Where a wrong answer is the common one with at least this probability, votes lead by 8 points.
VOTES_LEAD = 0.35

# The questions over which the truth is a mean, and the steps at which votes are tabulated for it.
POPULATION, STEPS = 2_000, 100


@dataclass(frozen=True, eq=False)
class Grid:
    """Engines, and their configurations by engine, token budget and group size, in this order."""

    engines: tuple[EngineSpec, ...]
    members: tuple[Candidate, ...]

    def column(self, of: Callable[[EngineSpec], float]) -> Floats:
        """A number of each engine: [engines, 1], so that budgets broadcast beside it."""
        return np.array([[of(engine)] for engine in self.engines], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class World:
    """What is true.

    ability      of each engine at each budget, in logits: [engines, budgets]
    difficulty   mean and standard deviation over the questions, in logits
    interaction  standard deviation of the interaction of engine and question, in logits
    common       the least and the largest probability that a question's wrong answer is its common one
    """

    grid: Grid
    ability: Floats
    difficulty: tuple[float, float] = (0.0, 2.0)
    interaction: float = 0.7
    common: tuple[float, float] = (0.2, 0.8)


@lru_cache
def study_grid(full_cache_alone: bool = False) -> Grid:
    """The 180 engines of `+sweep=full`, or the 18 with the full cache. Their bytes are the true ones."""
    own = tuple(
        engine
        for engine in engines(configured("+sweep=full", "sweep.benchmarks=[chain]"))
        if engine.kv_policy.slug == "full" or not full_cache_alone
    )
    members = [
        _member(engine, budget, group)
        for engine in own
        for budget in TOKEN_BUDGETS
        for group in GROUP_SIZES
    ]
    return Grid(own, tuple(members))


def _member(engine: EngineSpec, budget: int, group: int) -> Candidate:
    cache = (engine.model.architecture, engine.kv_policy, PROMPT_TOKENS + budget)
    return Candidate.of_row(
        {
            **described(engine),
            "benchmark": "planted",
            "token_budget": budget,
            "group_size": group,
            "prompt_tokens": PROMPT_TOKENS,
            "kv_bytes": group * memory.kv_bytes(*cache),
            "kv_peak_bytes": group * memory.kv_peak_bytes(*cache),
            "accuracy": 0.5,
            "accuracy_lo": 0.0,
            "accuracy_hi": 1.0,
            "complete": True,
        }
    )


def flat(grid: Grid) -> World:
    """Every configuration's true accuracy is a half.

    All wrong answers to a question are the same, so a vote wins where a single answer is likelier to be
    right than not. Difficulties are symmetric, so over all questions votes gain nothing.
    """
    ability = np.zeros((len(grid.engines), len(TOKEN_BUDGETS)))
    return World(grid, ability, common=(1.0, 1.0))


def votes_lead(grid: Grid) -> World:
    """Votes are up to 8 points more accurate than one sample, and nothing else makes a difference.

    Wrong answers often differ, so that right ones, which are equal, win votes.
    """
    return replace(flat(grid), common=(VOTES_LEAD, 1.0))


def study_like(
    grid: Grid,
    *,
    threshold_bytes: float = 4.2e9,
    below: float = 1.0,
    above: float = 0.1,
    per_doubling: float = 0.3,
    start: float = -3.0,
) -> World:
    """A law as in the study: weights pay up to a threshold, tokens pay throughout.

    With the full cache and at batch size 1, weights have an advantage (see `analysis.doubling`) of 4 to 10
    points up to 2 GB. The threshold is 3.4 GB. From there on tokens have one of up to 4 points.

    below, above  what a doubling of the weights is worth on either side of the threshold, in logits
    per_doubling  what a doubling of the token budget is worth, in logits
    start         the ability of the least weights at the smallest budget
    """
    size = np.log2(grid.column(lambda e: memory.weights_bytes(e.model, e.weights)))
    reach = np.log2(threshold_bytes) - size.min()
    grown = size - size.min()
    worth = below * np.minimum(grown, reach) + above * np.maximum(grown - reach, 0)
    thought = np.log2(np.array(TOKEN_BUDGETS) / TOKEN_BUDGETS[0])
    return World(grid, start + worth + per_doubling * thought - kv_losses(grid))


def kv_losses(grid: Grid) -> Floats:
    """What a KV policy costs at each budget, in logits: [engines, budgets].

    Fewer bits cost the same at any budget. Evicting costs more the more tokens are evicted.
    """
    by_bits = {"quantized-8": 0.0, "quantized-4": 0.2, "quantized-2": 1.2}
    by_doubling = {"r_kv": 0.25, "streaming_llm": 0.45}
    budgets = np.array(TOKEN_BUDGETS, dtype=np.float64)
    losses = np.zeros((len(grid.engines), len(budgets)))
    for loss, engine in zip(losses, grid.engines, strict=True):
        policy, _, kept = engine.kv_policy.slug.partition("-")
        if policy in by_doubling:
            evicted = np.log2(np.maximum(1, (budgets + PROMPT_TOKENS) / int(kept)))
            loss += by_doubling[policy] * evicted
        loss += by_bits.get(engine.kv_policy.slug, 0.0)
    return losses


def off_the_law(world: World, spread: float, seed: int) -> World:
    """The same world with each engine's ability moved by a normal deviation, in logits."""
    moved = np.random.default_rng(seed).normal(0, spread, (len(world.ability), 1))
    return replace(world, ability=world.ability + moved)


def drawn(world: World, questions: int, seed: int, samples: int = SAMPLES) -> Candidates:
    """The scores of a run: each scenario's maj@G on each of some questions drawn at random.

    Fewer samples than the largest group leave out the groups that are larger.
    """
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(*world.difficulty, questions)
    common = rng.uniform(*world.common, questions)
    n_engines, n_budgets = world.ability.shape
    interaction = rng.normal(0, world.interaction, (n_engines, questions))
    groups = tuple(group for group in GROUP_SIZES if group <= samples)
    members = tuple(m for m in world.grid.members if m.configuration.group_size <= samples)
    wins = wins_of_counts(samples, groups)
    shape = (n_engines, questions, samples)
    luck, kind = rng.random(shape, dtype=np.float32), rng.random(shape, dtype=np.float32)
    scores = np.empty((questions, n_engines, n_budgets, len(groups)))
    for budget in range(n_budgets):
        fresh = rng.random(shape, dtype=np.float32) >= KEPT
        luck = np.where(fresh, rng.random(shape, dtype=np.float32), luck)
        chance = _logistic(world.ability[:, budget, None] + interaction - difficulty)
        right = luck < chance[:, :, None]
        alike = (~right & (kind < common[:, None])).sum(axis=2)
        scores[:, :, budget] = wins[right.sum(axis=2), alike].swapaxes(0, 1)
    return Candidates(members, scores.reshape(questions, -1))


def truth(world: World) -> Floats:
    """The accuracy of each configuration over all questions of this kind and all samples: [members].

    It is the mean, over questions whose difficulties are the quantiles of their distribution, of the
    probability that a vote is right.
    """
    rng = np.random.default_rng(0)
    mean, spread = world.difficulty
    middles = (np.arange(POPULATION) + 0.5) / POPULATION
    difficulty = np.array([mean + spread * NormalDist().inv_cdf(middle) for middle in middles])
    common = rng.permutation(np.linspace(*world.common, POPULATION))
    scale = world.interaction / max(spread, 1e-9)
    interaction = rng.permutation(difficulty - mean) * scale
    tables = _wins_of_chances()
    places = common * STEPS
    accuracy = np.empty((*world.ability.shape, len(GROUP_SIZES)))
    for engine, ability in enumerate(world.ability):
        for budget, able in enumerate(ability):
            chance = _logistic(able + interaction - difficulty) * STEPS
            accuracy[engine, budget] = _between(tables, chance, places).mean(axis=0)
    return accuracy.ravel()


def _logistic(logit: Floats) -> Floats:
    return 1 / (1 + np.exp(-logit))


@lru_cache
def wins_of_counts(samples: int, groups: Sequence[int] = GROUP_SIZES) -> Floats:
    """maj@G by the number of right answers and of common wrong ones: [samples + 1, samples + 1, groups]."""
    cells = [(c, m) for c in range(samples + 1) for m in range(samples + 1 - c)]
    right = [c for c, _ in cells]
    wrong = [[m] + [1] * (samples - c - m) + [0] * (c + m) for c, m in cells]
    found = maj_at_k(right, wrong, np.zeros(len(cells), dtype=int), groups)
    wins = np.full((samples + 1, samples + 1, len(groups)), np.nan)
    for cell, of in zip(cells, found.T, strict=True):
        wins[cell] = of
    return wins


@lru_cache
def _wins_of_chances() -> Floats:
    """The probability that a vote is right: [steps + 1, steps + 1, groups].

    By the chance of a right answer, and that of a wrong answer to be the common one, in STEPS steps each.
    """
    steps = np.arange(STEPS + 1) / STEPS
    right, common = np.meshgrid(steps, steps, indexing="ij")
    tables = np.zeros((*right.shape, len(GROUP_SIZES)))
    for at, group in enumerate(GROUP_SIZES):
        wins = wins_of_counts(group, (group,))[:, :, 0]
        by_right = _binomial(group, right)
        for c in range(group + 1):
            by_common = _binomial(group - c, common)
            for m in range(group - c + 1):
                tables[:, :, at] += by_right[c] * by_common[m] * wins[c, m]
    return tables


def _binomial(n: int, chance: Floats) -> list[Floats]:
    """The probability of each number of successes in n trials: n + 1 arrays like `chance`."""
    return [comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(n + 1)]


def _between(tables: Floats, row: Floats, column: Floats) -> Floats:
    """The tables at fractional places, linearly between their steps: [places, groups]."""
    i, j = (np.minimum(place.astype(int), STEPS - 1) for place in (row, column))
    down, right = (row - i)[:, None], (column - j)[:, None]
    upper = tables[i, j] * (1 - right) + tables[i, j + 1] * right
    lower = tables[i + 1, j] * (1 - right) + tables[i + 1, j + 1] * right
    return upper * (1 - down) + lower * down

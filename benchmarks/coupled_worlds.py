"""Worlds whose samples exist one by one, with engines that share their randomness.

`planted_worlds` draws the scores of a finished run. Here every sample is drawn, so that a rule can look at
the first n of them, and engines are coupled by common random numbers: raysweep draws a token by seed,
question, sample and position, whatever the engine, so engines that differ little agree. What is assumed:

An answer is right where the luck of engine, question and sample, a standard normal number, is below the
quantile of the chance that `planted_worlds` has. Luck, and the interaction of engine and question, are shared
with the model's engine at full precision and with the full cache: they correlate by a share for the precision
times one for the KV policy. Luck of two models correlates by less, and their interactions do not. Luck at a
token budget correlates with that at the next by KEPT. A wrong answer is the question's common wrong one, or
one that no other sample gives.

How much long traces of large models share is not known, so there are three answers (`COUPLINGS`):

by loss   exp(-loss / 4), where loss is what precision and KV policy cost in logits. Beyond the question,
          right answers then correlate by 0.9 with GPTQ-8, 0.65 to 0.8 with GPTQ-4, 0.8 and 0.4 to 0.55 with
          KV caches in 4 and 2 bits, 0.3 to 0.7 with evicting policies, 0.1 with other models
measured  as short traces of the embedded family do: 0.95 with GPTQ-8, 0.65 with GPTQ-4, 0.9 and 0.5 to 0.7
          with KV caches in 4 and 2 bits, 0.55 with R-KV that keeps a quarter of a trace, and less with one
          that keeps less, 0.2 with other models
none      engines share nothing but the questions
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from benchmarks.planted_worlds import TOKEN_BUDGETS, Grid, World, kv_losses, study_grid, study_like
from raysweep.metrics import Floats
from raysweep.planning.power import DIFFICULTY, INTERACTION
from raysweep.published.cells import published

SAMPLES, KEPT = 32, 0.95

Singles = NDArray[np.float32]

# What precisions cost in logits. `study_like` has it in the bytes, and takes this for the coupling alone.
PRECISION_LOSS = {"bf16": 0.0, "gptq8": 0.03, "gptq4": 0.3}


@dataclass(frozen=True)
class Law:
    """How able a published benchmark's models are, in logits.

    unthought  what thinking is worth in all, of which exp(-tokens / pace) is missing at a budget
    precision  what GPTQ-4 costs the models; None stands for those that are not named
    kv         what KV policies cost, as a share of `planted_worlds.kv_losses`
    """

    questions: int
    unthought: float
    pace: float
    precision: dict[str | None, float]
    kv: float

    def loss_of(self, model: str, precision: str) -> float:
        """What a precision costs a model, in logits."""
        if precision == "gptq4":
            return self.precision.get(model, self.precision[None])
        return PRECISION_LOSS[precision]


# Thinking saturates, and mathematics suffers more from what is left out of weights and cache than choices
# among four answers do. The figures are assumptions.
LAWS = {
    "aime25": Law(30, 4.5, 8_000, {"qwen3-0.6b": 1.0, "qwen3-1.7b": 0.8, None: 0.45}, 1.0),
    "gpqa-diamond": Law(198, 2.0, 4_000, {"qwen3-0.6b": 0.5, "qwen3-1.7b": 0.4, None: 0.15}, 0.6),
}


@dataclass(frozen=True, eq=False)
class Coupling:
    """By how much luck correlates.

    precision  of a precision with full precision: [engines]
    kv         of a KV policy with the full cache: [engines, budgets]
    across     of one model with another
    """

    precision: Floats
    kv: Floats
    across: float


@dataclass(frozen=True, eq=False)
class CoupledWorld:
    world: World
    coupling: Coupling


@dataclass(frozen=True, eq=False)
class Samples:
    """Every sample of a full run.

    right   whether it is right: [engines, budgets, questions, samples]
    common  whether it is the question's common wrong answer if it is wrong: [engines, questions, samples]
    """

    right: NDArray[np.bool_]
    common: NDArray[np.bool_]

    def choice(self, engine: int, n: int, budgets: int) -> NDArray[np.int64]:
        """Answers of the first n samples: 0 is right, 1 the common wrong one: [budgets, questions, n]."""
        right, common = self.right[engine, :budgets, :, :n], self.common[engine, :, :n]
        wrong = np.where(common, 1, 2 + np.arange(n))
        return np.where(right, 0, wrong).astype(np.int64)


def like_the_study(coupling: str = "by loss") -> CoupledWorld:
    """The law of `planted_worlds.study_like`, in which a precision counts by the bytes that it leaves."""
    world = study_like(study_grid())
    loss = world.grid.column(lambda engine: PRECISION_LOSS[engine.weights.slug])[:, 0]
    return CoupledWorld(world, COUPLINGS[coupling](world.grid, loss, kv_losses(world.grid)))


def like_published(
    benchmark: str, coupling: str = "by loss", grid: Grid | None = None
) -> CoupledWorld:
    """A law by which Qwen3 at full precision is as accurate as its report says, with all its tokens."""
    grid, law = grid or study_grid(), LAWS[benchmark]
    known = accuracies(benchmark)
    base = grid.column(lambda engine: ability_of(known[engine.model.name]))
    precision = grid.column(lambda engine: law.loss_of(engine.model.name, engine.weights.slug))
    missing = law.unthought * np.exp(-np.array(TOKEN_BUDGETS) / law.pace)
    kv = law.kv * kv_losses(grid)
    world = World(grid, base - missing - precision - kv, (0.0, DIFFICULTY), INTERACTION)
    return CoupledWorld(world, COUPLINGS[coupling](grid, precision[:, 0], kv))


def _by_loss(_: Grid, precision: Floats, kv: Floats) -> Coupling:
    return Coupling(np.exp(-precision / 4), np.exp(-kv / 4), 0.2)


def _measured(grid: Grid, _: Floats, kv: Floats) -> Coupling:
    """Shares that give the correlations of right answers that the module's text has.

    Those of evicting policies fall with the square of the doublings of tokens that are evicted.
    """
    by_precision = {"bf16": 1.0, "gptq8": 0.998, "gptq4": 0.9}
    by_bits = {"full": 1.0, "quantized-8": 1.0, "quantized-4": 0.999, "quantized-2": 0.975}
    falls = {"r_kv": 0.07, "streaming_llm": 0.14}
    shares = np.ones_like(kv)
    for at, engine in enumerate(grid.engines):
        policy, kept = engine.kv_policy.slug.partition("-")[::2]
        if policy in falls:
            evicted = np.log2(np.maximum(1, np.array(TOKEN_BUDGETS) / int(kept)))
            shares[at] = np.exp(-falls[policy] * evicted**2)
        else:
            shares[at] = by_bits[engine.kv_policy.slug]
    precision = grid.column(lambda engine: by_precision[engine.weights.slug])[:, 0]
    return Coupling(precision, shares, 0.35)


def _none(_: Grid, precision: Floats, kv: Floats) -> Coupling:
    return Coupling(np.zeros_like(precision), np.zeros_like(kv), 0.0)


COUPLINGS: dict[str, Callable[[Grid, Floats, Floats], Coupling]] = {
    "by loss": _by_loss,
    "measured": _measured,
    "none": _none,
}


@lru_cache
def accuracies(benchmark: str) -> dict[str, float]:
    """The published accuracy of each Qwen3 model at full precision, from 0 to 1."""
    return {
        cell.model: cell.accuracy
        for cell in published().cells
        if cell.source.title == "Qwen3 Technical Report" and cell.benchmark == benchmark
    }


@lru_cache
def ability_of(accuracy: float) -> float:
    """The ability in logits with which questions of the usual difficulties are answered so accurately."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    spread = sqrt(DIFFICULTY**2 + INTERACTION**2)
    abilities = np.linspace(-12, 12, 2_401)
    chances = 1 / (1 + np.exp(-(abilities[:, None] + spread * nodes)))
    return float(np.interp(accuracy, chances @ weights / weights.sum(), abilities))


class _Sharing:
    """Draws standard normal numbers that engines share as the coupling says."""

    def __init__(self, coupled: CoupledWorld, rng: np.random.Generator):
        engines = coupled.world.grid.engines
        self._rng, self._coupling = rng, coupled.coupling
        self._model = _numbered([engine.model.name for engine in engines])
        self._pair = _numbered([(engine.model.name, engine.weights.slug) for engine in engines])

    def draw(self, shape: tuple[int, ...], across: float) -> tuple[Singles, Singles]:
        """What the engines of a precision share, and what each has alone: two of [engines, *shape].

        across  the correlation between models
        """
        every = self._normal(1, shape)
        model = self._normal(self._model.max() + 1, shape)[self._model]
        pair = self._normal(self._pair.max() + 1, shape)[self._pair]
        shared = _mixed(self._coupling.precision, _mixed(np.sqrt([across]), every, model), pair)
        return shared, self._normal(len(self._pair), shape)

    def at(self, budget: int, drawn: tuple[Singles, Singles]) -> Singles:
        """The numbers of the engines with their KV policies at a budget: [engines, *shape]."""
        return _mixed(self._coupling.kv[:, budget], *drawn)

    def _normal(self, count: int, shape: tuple[int, ...]) -> Singles:
        return self._rng.standard_normal((count, *shape), dtype=np.float32)


def _numbered(names: Sequence[Hashable]) -> NDArray[np.intp]:
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.array([places[name] for name in names])


def _mixed(share: Floats, one: Singles, other: Singles) -> Singles:
    """Numbers that correlate with the first ones by a share for each engine."""
    shares = np.float32(share).reshape(-1, *[1] * (one.ndim - 1))
    return shares * one + np.sqrt(1 - shares**2) * other


def draw(coupled: CoupledWorld, questions: int, seed: int, samples: int = SAMPLES) -> Samples:
    """A full run of some questions drawn at random."""
    scores = margins(coupled, questions, seed, samples)
    return Samples(scores.margin > 0, scores.common)


@dataclass(frozen=True, eq=False)
class Margins:
    """What a run's samples are drawn by.

    margin  by how much a sample is right (wrong if it is not above 0), in standard deviations of luck:
            [engines, budgets, questions, samples]
    common  see `Samples`
    """

    margin: Singles
    common: NDArray[np.bool_]


def margins(coupled: CoupledWorld, questions: int, seed: int, samples: int = SAMPLES) -> Margins:
    """The margins of a run's samples; see `draw`."""
    rng, world = np.random.default_rng(seed), coupled.world
    difficulty = rng.normal(*world.difficulty, questions)
    common = rng.uniform(*world.common, questions)
    sharing, budgets = _Sharing(coupled, rng), world.ability.shape[1]
    each, across = (questions, samples), coupled.coupling.across
    interaction = sharing.draw((questions,), 0.0)
    luck, kind = sharing.draw(each, across), sharing.draw(each, across)
    margin = np.empty((len(world.grid.engines), budgets, *each), dtype=np.float32)
    for budget in range(budgets):
        if budget:
            fresh = sharing.draw(each, across)
            kept = np.array([KEPT])
            luck = _mixed(kept, luck[0], fresh[0]), _mixed(kept, luck[1], fresh[1])
        fits = world.interaction * sharing.at(budget, interaction)
        threshold = normal_of_logit(world.ability[:, budget, None] + fits - difficulty)
        margin[:, budget] = threshold[:, :, None] - sharing.at(budget, luck)
    quantile = np.array([NormalDist().inv_cdf(share) if share < 1 else 40 for share in common])
    return Margins(margin, sharing.at(budgets - 1, kind) < quantile[:, None])


def normal_of_logit(logit: Floats) -> Singles:
    """The quantile of the standard normal distribution at each logistic probability."""
    known, found = _quantiles()
    return np.interp(logit, known, found).astype(np.float32)


@lru_cache
def _quantiles() -> tuple[Floats, Floats]:
    logits = np.linspace(-16, 16, 3_201, dtype=np.float64)
    chances = 1 / (1 + np.exp(-logits))
    return logits, np.array([NormalDist().inv_cdf(chance) for chance in chances])


def correlation(samples: Samples, one: int, other: int, budget: int = -1) -> float:
    """The correlation of two engines' right answers at equal samples, beyond the question."""
    rights = (samples.right[engine, budget].astype(float) for engine in (one, other))
    first, second = ((right - right.mean(axis=1, keepdims=True)).ravel() for right in rights)
    return float(np.corrcoef(first, second)[0, 1])

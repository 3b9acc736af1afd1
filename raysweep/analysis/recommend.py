"""The best configuration for a memory, and how sure that is. Pure: no I/O.

A device holds the weights once, and the KV cache of every question of the batch, each with its whole
group: weights + batch * kv bytes must fit, by the study's accounting (what an engine needs besides,
such as activations, is not counted). Of what fits, the most accurate is best, and of equals the one of
least memory.

The best of many is flattered: part of its lead is luck. The *optimism* is how much, on average, the winner
of a bootstrap draw looks better in that draw than it is (Efron 1983); the expected accuracy and its
interval are what was measured, less that. Whatever a paired difference does not tell from the best is
named, because there the choice may be made for other reasons.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.candidates import Candidates, Row
from raysweep.analysis.uncertainty import (
    bootstrap_means,
    bootstrap_weights,
    paired_difference,
    score_interval,
)
from raysweep.errors import ConfigError
from raysweep.frontier import pareto
from raysweep.memory import GB
from raysweep.metrics import Floats

DRAWS, SEED = 1000, 1


@dataclass(frozen=True)
class Alternative:
    """A configuration beside the best one, which is ahead by `behind` (accuracy, with its interval)."""

    row: Row
    memory_bytes: float  # of the whole batch
    behind: float
    behind_lo: float
    behind_hi: float


@dataclass(frozen=True)
class Recommendation:
    """The answer for one benchmark.

    accuracy     expected of the best, with its interval: as measured, less the optimism
    alternatives those that cannot be told from the best, most accurate first
    less, more   the best with the next smaller and the next larger memory that changes the answer
    """

    benchmark: str
    batch_size: int
    memory_bytes: float
    best: Row
    best_memory_bytes: float
    accuracy: float
    accuracy_lo: float
    accuracy_hi: float
    measured: float
    optimism: float
    considered: int
    alternatives: tuple[Alternative, ...]
    less: Alternative | None
    more: Alternative | None


def recommend(
    candidates: Candidates,
    memory_bytes: float,
    batch_size: int = 1,
    max_token_budget: int | None = None,
) -> Recommendation:
    """The best of a benchmark's configurations within the memory and the limit.

    Raises ConfigError where none fits; it names the smallest that exists.
    """
    candidates = candidates.take(comparable(candidates, max_token_budget))
    memory = candidates.memory_bytes(batch_size) * batch_size
    fits = np.flatnonzero(memory <= memory_bytes)
    if fits.size == 0:
        raise _nothing_fits(candidates, memory, memory_bytes, batch_size)
    best = _best(candidates, memory, fits)
    optimism = _optimism(candidates.scores[:, fits])
    measured = score_interval(candidates.scores[:, best])
    low, high, mean = (
        float(np.clip(value - optimism, 0, 1))
        for value in (measured.low, measured.high, measured.mean)
    )
    less, more = _neighbours(candidates, memory, best, memory_bytes)
    return Recommendation(
        benchmark=candidates.rows[best]["benchmark"],
        batch_size=batch_size,
        memory_bytes=memory_bytes,
        best=candidates.rows[best],
        best_memory_bytes=float(memory[best]),
        accuracy=mean,
        accuracy_lo=low,
        accuracy_hi=high,
        measured=float(measured.mean),
        optimism=optimism,
        considered=len(fits),
        alternatives=_alternatives(candidates, memory, best, fits),
        less=less,
        more=more,
    )


def comparable(candidates: Candidates, max_token_budget: int | None = None) -> NDArray[np.intp]:
    """Indices of those within the limit that were measured on the most questions: an unfinished one may
    only have the easy ones behind it."""
    budgets = candidates.column("token_budget")
    allowed = budgets <= (np.inf if max_token_budget is None else max_token_budget)
    if not allowed.any():
        raise ConfigError(
            f"recommend.max_token_budget: {max_token_budget} is below every token budget of "
            f"{candidates.rows[0]['benchmark']}; the smallest is {int(budgets.min())}; write that or more"
        )
    measured = (~np.isnan(candidates.scores)).sum(axis=0)
    return np.flatnonzero(allowed & (measured == measured[allowed].max()))


def _nothing_fits(
    candidates: Candidates, memory: Floats, memory_bytes: float, batch_size: int
) -> ConfigError:
    least = int(memory.argmin())
    row = candidates.rows[least]
    batch = "" if batch_size == 1 else f" for a batch of {batch_size}"
    return ConfigError(
        f"recommend.memory_gb: {memory_bytes / GB:g} GB hold no configuration of {row['benchmark']}"
        f"{batch}; the smallest is {row['engine_id']} with {row['token_budget']} tokens, which takes "
        f"{memory[least] / GB:.6g} GB; give as much, or sweep something smaller"
    )


def _best(candidates: Candidates, memory: Floats, among: np.ndarray) -> int:
    """The most accurate, of equals the one of least memory."""
    return int(among[np.lexsort((memory[among], -candidates.accuracy[among]))[0]])


def _optimism(scores: Floats) -> float:
    """How much better than it is the winner of a resampling of the questions looks in it."""
    weights = bootstrap_weights(len(scores), DRAWS, SEED)
    draws, truth = (
        bootstrap_means(scores, weights),
        bootstrap_means(scores, np.ones((1, len(scores)))),
    )
    winner = draws.argmax(axis=1)
    return float(np.mean(draws[np.arange(DRAWS), winner] - truth[0, winner]))


def _choices(
    candidates: Candidates, memory: Floats, best: int, others: np.ndarray
) -> tuple[Alternative, ...]:
    behind = paired_difference(candidates.scores[:, [best]], candidates.scores[:, others])
    values = (behind.mean.tolist(), behind.low.tolist(), behind.high.tolist())
    return tuple(
        Alternative(candidates.rows[index], float(memory[index]), *difference)
        for index, *difference in zip(others.tolist(), *values, strict=True)
    )


def _alternatives(
    candidates: Candidates, memory: Floats, best: int, fits: np.ndarray
) -> tuple[Alternative, ...]:
    others = fits[fits != best]
    order = np.lexsort((memory[others], -candidates.accuracy[others]))
    choices = _choices(candidates, memory, best, others[order])
    return tuple(choice for choice in choices if choice.behind_lo <= 0)


def _neighbours(
    candidates: Candidates, memory: Floats, best: int, memory_bytes: float
) -> tuple[Alternative | None, Alternative | None]:
    """The frontier's points before the best one and after the memory."""
    points = np.flatnonzero(pareto(memory, candidates.accuracy))
    points = points[np.argsort(memory[points], kind="stable")]
    below = points[memory[points] < memory[best]][-1:]
    above = points[memory[points] > memory_bytes][:1]
    less, more = (_choices(candidates, memory, best, some) for some in (below, above))
    return (less or (None,))[0], (more or (None,))[0]

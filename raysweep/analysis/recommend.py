"""The best configuration for a memory, and how sure that is. Pure: no I/O.

A device holds the weights once, and the KV cache of every question of the batch, each with its whole
group: weights + batch * KV bytes must fit. This is the study's accounting; what an engine needs besides,
such as activations, is not counted. Of the configurations that fit, the most accurate is the best, and of
equally accurate ones the one of least memory.

The best of many is selected partly by chance, so its measured accuracy is biased upwards. The *optimism*
is how much better, on average, the winner of a bootstrap draw looks in that draw than it is (Efron
1983). The expected accuracy and its interval are the measured ones less the optimism. Configurations
that a paired difference does not separate from the best are listed as alternatives, because there other
reasons may decide.
"""

from dataclasses import dataclass

import numpy as np

from raysweep.analysis.candidates import Candidate, Candidates, Indices
from raysweep.analysis.uncertainty import (
    bootstrap_means,
    bootstrap_weights,
    paired_difference,
    score_interval,
)
from raysweep.errors import ConfigError
from raysweep.frontier import best_within
from raysweep.metrics import Floats
from raysweep.system.quantities import GB

DRAWS, SEED = 1000, 1


@dataclass(frozen=True)
class Alternative:
    """A candidate beside the best one, which is `behind` more accurate (with its interval).

    memory_bytes  of the whole batch
    """

    candidate: Candidate
    memory_bytes: float
    behind: float
    behind_lo: float
    behind_hi: float


@dataclass(frozen=True)
class Recommendation:
    """What is recommended for one benchmark.

    accuracy      expected of the best, with its interval: as measured, less the optimism
    alternatives  those that are statistically indistinguishable from the best, most accurate first
    less, more    the best within the next smaller and the next larger memory that changes the answer
    """

    benchmark: str
    batch_size: int
    memory_bytes: float
    best: Candidate
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
    """The best of a benchmark's configurations within the memory and the limit on tokens.

    Raises ConfigError where none fits; it names the smallest that exists.
    """
    candidates = candidates.take(comparable(candidates, max_token_budget))
    memory = candidates.device_bytes(batch_size)
    best = best_within(memory, candidates.accuracy, memory_bytes)
    if best is None:
        raise _nothing_fits(candidates, memory, memory_bytes, batch_size)
    fits = np.flatnonzero(memory <= memory_bytes)
    optimism = _optimism(candidates.scores[:, fits])
    measured = score_interval(candidates.scores[:, best])
    low, high, mean = (
        float(np.clip(value - optimism, 0, 1))
        for value in (measured.low, measured.high, measured.mean)
    )
    less, more = _neighbours(candidates, batch_size, best, memory_bytes)
    return Recommendation(
        benchmark=candidates.members[best].benchmark,
        batch_size=batch_size,
        memory_bytes=memory_bytes,
        best=candidates.members[best],
        best_memory_bytes=float(memory[best]),
        accuracy=mean,
        accuracy_lo=low,
        accuracy_hi=high,
        measured=float(measured.mean),
        optimism=optimism,
        considered=len(fits),
        alternatives=_indistinguishable(candidates, memory, best, fits),
        less=less,
        more=more,
    )


def comparable(candidates: Candidates, max_token_budget: int | None = None) -> Indices:
    """The members within the limit that were measured on the most questions.

    The others are unfinished, and may so far have met only easy questions.
    """
    budgets = candidates.token_budgets
    allowed = budgets <= (np.inf if max_token_budget is None else max_token_budget)
    if not allowed.any():
        raise ConfigError(
            f"recommend.max_token_budget: {max_token_budget} is below every token budget of "
            f"{candidates.members[0].benchmark}; the smallest is {int(budgets.min())}; "
            "write that or more"
        )
    measured = (~np.isnan(candidates.scores)).sum(axis=0)
    return np.flatnonzero(allowed & (measured == measured[allowed].max()))


def _nothing_fits(
    candidates: Candidates, memory: Floats, memory_bytes: float, batch_size: int
) -> ConfigError:
    least = int(memory.argmin())
    smallest = candidates.members[least]
    batch = "" if batch_size == 1 else f" for a batch of {batch_size}"
    return ConfigError(
        f"recommend.memory_gb: no configuration of {smallest.benchmark} fits in "
        f"{memory_bytes / GB:g} GB{batch}; the smallest is {smallest.configuration.engine_id} with "
        f"{smallest.configuration.token_budget} tokens, which takes {memory[least] / GB:.6g} GB; "
        "allow that much, or sweep something smaller"
    )


def _optimism(scores: Floats) -> float:
    """How much better the winner of a resampling of the questions looks in it than it is, on average."""
    weights = bootstrap_weights(len(scores), DRAWS, SEED)
    draws = bootstrap_means(scores, weights)
    truth = bootstrap_means(scores, np.ones((1, len(scores))))
    winner = draws.argmax(axis=1)
    return float(np.mean(draws[np.arange(DRAWS), winner] - truth[0, winner]))


def _beside(
    candidates: Candidates, memory: Floats, best: int, others: Indices
) -> tuple[Alternative, ...]:
    behind = paired_difference(candidates.scores[:, [best]], candidates.scores[:, others])
    values = (behind.mean.tolist(), behind.low.tolist(), behind.high.tolist())
    return tuple(
        Alternative(candidates.members[index], float(memory[index]), *difference)
        for index, *difference in zip(others.tolist(), *values, strict=True)
    )


def _indistinguishable(
    candidates: Candidates, memory: Floats, best: int, fits: Indices
) -> tuple[Alternative, ...]:
    others = fits[fits != best]
    order = np.lexsort((memory[others], -candidates.accuracy[others]))
    compared = _beside(candidates, memory, best, others[order])
    return tuple(one for one in compared if one.behind_lo <= 0)


def _neighbours(
    candidates: Candidates, batch_size: int, best: int, memory_bytes: float
) -> tuple[Alternative | None, Alternative | None]:
    """The frontier's points before the best one and after the memory."""
    memory, points = candidates.device_bytes(batch_size), candidates.frontier(batch_size)
    below = points[memory[points] < memory[best]][-1:]
    above = points[memory[points] > memory_bytes][:1]
    less, more = (_beside(candidates, memory, best, some) for some in (below, above))
    return (less or (None,))[0], (more or (None,))[0]

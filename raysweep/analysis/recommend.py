"""The best configuration for a memory, and how sure that is. Pure: no I/O.

A device holds the weights once, and the KV cache of every question of the batch, each with its whole
group: weights + batch * KV bytes must fit. This is the study's accounting; what an engine needs besides,
such as activations, is not counted. Of the configurations that fit, the one of the best estimate
(`shrinkage`) is recommended, and of equal ones the one of least memory.

The best of many is selected partly by chance, so its measured accuracy is biased upwards. What is expected
of it is measured on questions that took no part in the choice (`cross_fitting`). Configurations that are
not worse by more than chance, among all comparisons that are made (`told_apart`), are listed as
alternatives, because there other reasons may decide.
"""

from dataclasses import dataclass

import numpy as np

from raysweep.analysis.candidates import Candidate, Candidates, Indices
from raysweep.analysis.ladder import Ladder, ladders
from raysweep.errors import ConfigError
from raysweep.system.quantities import GB


@dataclass(frozen=True)
class Alternative:
    """A candidate beside the best one, which was measured `behind` more accurate, or less if negative.

    memory_bytes          of the whole batch
    behind_lo, behind_hi  its interval, which holds for all comparisons with the best at once
    """

    candidate: Candidate
    memory_bytes: float
    behind: float
    behind_lo: float
    behind_hi: float


@dataclass(frozen=True)
class Neighbour:
    """The best within the next smaller or the next larger memory that changes the answer.

    memory_bytes  of the whole batch
    expected      its accuracy on new questions
    gain          how much more accurate the larger of the two is expected to be, with its interval; all 0
                  where nothing is gained
    """

    candidate: Candidate
    memory_bytes: float
    expected: float
    gain: float
    gain_lo: float
    gain_hi: float


@dataclass(frozen=True)
class Recommendation:
    """What is recommended for one benchmark.

    accuracy      expected of the best on new questions, with its interval
    measured      its accuracy on the questions that also chose it
    considered    how many fit
    compared      how many others it was compared with: all that fit, and those below the next step
    alternatives  those that are statistically indistinguishable from the best, best estimate first
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
    considered: int
    compared: int
    alternatives: tuple[Alternative, ...]
    less: Neighbour | None
    more: Neighbour | None


def recommend(
    candidates: Candidates,
    memory_bytes: float,
    batch_size: int = 1,
    max_token_budget: int | None = None,
) -> Recommendation:
    """The best of a benchmark's configurations within the memory and the limit on tokens.

    Raises ConfigError where none fits; it names the smallest that exists.
    """
    own = candidates.comparable
    if not len(own):
        raise _all_stopped(candidates)
    (ladder,) = ladders(own, [batch_size], _within_the_limit(own, max_token_budget))
    step = ladder.step_within(memory_bytes)
    if step is None:
        raise _nothing_fits(ladder, memory_bytes)
    best = int(ladder.steps[step])
    expected = ladder.expectation.accuracy
    return Recommendation(
        benchmark=own.members[best].benchmark,
        batch_size=batch_size,
        memory_bytes=memory_bytes,
        best=own.members[best],
        best_memory_bytes=float(ladder.memory[best]),
        accuracy=float(expected.mean[step]),
        accuracy_lo=float(expected.low[step]),
        accuracy_hi=float(expected.high[step]),
        measured=float(own.accuracy[best]),
        considered=int((ladder.memory[ladder.members] <= memory_bytes).sum()),
        compared=len(ladder.compared(step)),
        alternatives=_alternatives(ladder, step, memory_bytes),
        less=_neighbour(ladder, step - 1, step - 1) if step > 0 else None,
        more=_neighbour(ladder, step + 1, step) if step + 1 < len(ladder.steps) else None,
    )


def _all_stopped(candidates: Candidates) -> ConfigError:
    name = candidates.members[0].benchmark
    return ConfigError(
        f"recommend.benchmark: everything of {name} was stopped, since nothing fits the memory of "
        "sweep.adaptive with the prompts that there are; allow more, or sweep something smaller"
    )


def _within_the_limit(candidates: Candidates, max_token_budget: int | None) -> Indices:
    budgets = candidates.token_budgets
    allowed = np.flatnonzero(budgets <= (np.inf if max_token_budget is None else max_token_budget))
    if not allowed.size:
        raise ConfigError(
            f"recommend.max_token_budget: {max_token_budget} is below every token budget of "
            f"{candidates.members[0].benchmark}; the smallest is {int(budgets.min())}; "
            "write that or more"
        )
    return allowed


def _nothing_fits(ladder: Ladder, memory_bytes: float) -> ConfigError:
    least = int(ladder.steps[0])
    smallest = ladder.candidates.members[least]
    batch = "" if ladder.batch_size == 1 else f" for a batch of {ladder.batch_size}"
    return ConfigError(
        f"recommend.memory_gb: no configuration of {smallest.benchmark} fits in "
        f"{memory_bytes / GB:g} GB{batch}; the smallest is {smallest.configuration.engine_id} with "
        f"{smallest.configuration.token_budget} tokens, which takes {ladder.memory[least] / GB:.6g} GB; "
        "allow that much, or sweep something smaller"
    )


def _alternatives(ladder: Ladder, step: int, memory_bytes: float) -> tuple[Alternative, ...]:
    """Those that fit and are not told apart, best estimate first."""
    candidates, memory = ladder.candidates, ladder.memory
    close = ladder.not_told_apart(step)
    close = close[memory[close] <= memory_bytes]
    close = close[np.lexsort((memory[close], -candidates.estimate[close]))]
    behind = ladder.behind(step, close)
    values = (behind.mean.tolist(), behind.low.tolist(), behind.high.tolist())
    return tuple(
        Alternative(candidates.members[index], float(memory[index]), *difference)
        for index, *difference in zip(close.tolist(), *values, strict=True)
    )


def _neighbour(ladder: Ladder, step: int, smaller: int) -> Neighbour:
    """A step beside the best one; `smaller` is the smaller one of the two."""
    place = int(ladder.steps[step])
    return Neighbour(
        ladder.candidates.members[place],
        float(ladder.memory[place]),
        float(ladder.expectation.accuracy.mean[step]),
        *ladder.gain(smaller),
    )

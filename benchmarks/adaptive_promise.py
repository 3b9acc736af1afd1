"""Whether what a rule has left is what it promised of the full run, and how sure that is over many runs."""

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np

from benchmarks.adaptive_rules import Ended, FullRun
from raysweep.adaptive.rules import Rules

# What the sums of exact fractions may differ by.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Lost:
    """What the full run finds and a rule has put out.

    accuracy  the largest loss at any memory and batch size
    leaders   points that are out and lead all of at most their memory by more than epsilon
    """

    accuracy: float
    leaders: int

    def kept(self, epsilon: float) -> bool:
        return self.accuracy <= epsilon + ROUNDING and not self.leaders


def lost(rules: Rules, run: FullRun, ended: Ended) -> Lost:
    """What is lost at every memory, or within the one that is asked for."""
    fits = run.fits(rules)
    if rules.memory_bytes is not None:
        left = run.found[ended.live[0] & fits].max(initial=0.0)
        return Lost(float(run.found[fits].max() - left), 0)
    losses = [_along_memory(rules, run, own, at) for at, own in enumerate(ended.live)]
    return Lost(max(one.accuracy for one in losses), sum(one.leaders for one in losses))


def _along_memory(rules: Rules, run: FullRun, live: np.ndarray, batch: int) -> Lost:
    order, size = run.order(rules.batch_sizes[batch])
    found, alive = run.found.ravel()[order], live.ravel()[order]
    best = np.maximum.accumulate(found)
    left = np.maximum.accumulate(np.where(alive, found, 0.0))
    # Of equal memory all count, so a loss is what is left once all of them are seen.
    last = np.append(size[1:] != size[:-1], True)
    before = np.concatenate([[0.0], best[:-1]])
    leads = (found - before > rules.epsilon + ROUNDING) & ~alive
    at_once = np.searchsorted(size, size, side="right") - 1
    leads &= best[at_once] - left[at_once] > rules.epsilon + ROUNDING
    return Lost(float((best - left)[last].max()), int(leads.sum()))


def interval(count: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of a probability by Clopper and Pearson (1934)."""
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else _root(lambda p: _at_least(count, trials, p) - tail)
    high = (
        1.0 if count == trials else _root(lambda p: tail - _at_least(trials - count, trials, 1 - p))
    )
    return low, high


def _at_least(count: int, trials: int, p: float) -> float:
    """The probability of so many successes or more."""
    return sum(comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(count, trials + 1))


def _root(increasing: Callable[[float], float]) -> float:
    """Where a function that increases from 0 to 1 is 0."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if increasing(middle) > 0 else (middle, high)
    return (low + high) / 2


def share(count: int, trials: int) -> str:
    """A count with the interval of its share."""
    low, high = interval(count, trials)
    return f"{count}/{trials} ({low:.0%} to {high:.0%})"

"""Candidates from a formula with a threshold that is known, or without one.

Nine effective sizes from 0.5 to 45 GB, eight token budgets, three group sizes. What a configuration
can do is a sum over doublings: of the weights up to the threshold, and of the tokens spent. A
question is answered with the logistic probability of that sum less its difficulty.
"""

import itertools

import numpy as np
from support.candidates import rival

from raysweep.analysis.candidates import Candidate, Candidates

SIZES = 0.5e9 * 2.0 ** (np.arange(9) * 0.8125)
BUDGETS = np.arange(2_000, 32_000, 4_000)
GROUPS = (1, 4, 8)
SAMPLES = 16


def grid() -> list[Candidate]:
    members = []
    for size, budget, group in itertools.product(SIZES, BUDGETS, GROUPS):
        kv_bytes = 60e3 * (size / 1e9) ** 0.35 * budget * group
        chosen = {"token_budget": int(budget), "group_size": group}
        members.append(rival(int(size), int(kv_bytes), 0.5, **chosen))
    return members


def candidates(ability: np.ndarray, questions: int, seed: int) -> Candidates:
    """Scores of SAMPLES answers to questions of random difficulty; `ability` is per member."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 1.5, questions)
    chance = 1 / (1 + np.exp(difficulty[:, None] - ability))
    return Candidates(tuple(grid()), rng.binomial(SAMPLES, chance) / SAMPLES)


def doublings(name: str) -> np.ndarray:
    values = np.array([getattr(member, name) for member in grid()], dtype=float)
    return np.log2(values / values.min())


def tokens() -> np.ndarray:
    """Doublings of the tokens spent, over all of a group."""
    chosen = [member.configuration for member in grid()]
    return np.log2([one.token_budget * one.group_size for one in chosen]) - np.log2(2_000)


def with_threshold(threshold_bytes: float, weights: float = 1.2, token: float = 0.25) -> np.ndarray:
    """Doubling the weights is worth `weights` up to the threshold, and next to nothing beyond."""
    reach = np.log2(threshold_bytes / SIZES[0])
    size = doublings("weights_bytes")
    grown = weights * np.minimum(size, reach) + 0.05 * np.maximum(size - reach, 0)
    return grown + token * tokens() - 3.0

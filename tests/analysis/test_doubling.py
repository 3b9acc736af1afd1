"""The contests of doubled memory are those that a search through all configurations finds."""

import numpy as np
import pytest
from support.candidates import rival

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.doubling import STEPS_PER_DOUBLING, Doublings


def some(rng: np.random.Generator, members: int) -> Candidates:
    """Configurations of few sizes and budgets, so that many share a cell or a memory."""
    sizes, budgets = rng.integers(1, 60, 5) * 100, rng.integers(1, 20, 4) * 10
    rivals = [
        rival(
            int(rng.choice(sizes)),
            int(rng.integers(1, 30) * 40),
            0.5,
            token_budget=int(rng.choice(budgets)),
            group_size=int(rng.choice([1, 2, 4])),
        )
        for _ in range(members)
    ]
    return Candidates(tuple(rivals), np.zeros((3, members)))


def searched(
    candidates: Candidates, batch_size: int, chosen_by: np.ndarray, measured: np.ndarray
) -> list[tuple[float, float]]:
    """The size and the advantage at each memory, for one draw: the definition, word by word."""
    memory = candidates.memory_bytes(batch_size)
    size, tokens = candidates.weights_bytes, candidates.token_budgets * candidates.group_sizes
    steps = int(np.log2(memory.max() / memory.min()) * STEPS_PER_DOUBLING) + 1

    def best(allowed: np.ndarray) -> int | None:
        return int(np.where(allowed, chosen_by, -1).argmax()) if allowed.any() else None

    found = []
    for step in range(steps - STEPS_PER_DOUBLING):
        limit = memory.min() * 2 ** (step / STEPS_PER_DOUBLING) * (1 + 1e-12)
        now = best(memory <= limit)
        assert now is not None
        fits = memory <= 2 * limit
        grown = best(fits & (size > size[now]) & (tokens <= tokens[now]))
        longer = best(fits & (size <= size[now]) & (tokens > tokens[now]))
        met = grown is not None and longer is not None
        found.append((size[now], measured[grown] - measured[longer] if met else np.nan))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_contests_are_those_of_an_exhaustive_search(seed: int):
    rng = np.random.default_rng(seed)
    candidates = some(rng, members=60)
    # Accuracies differ by more than what single precision and packing round off.
    chosen_by = rng.permuted(np.tile(np.arange(60) / 64, (5, 1)), axis=1).T
    measured = rng.random((60, 5))
    doublings = Doublings(candidates, [1, 16])
    for batch_size, contests in zip((1, 16), doublings.contests(chosen_by, measured), strict=True):
        for draw in range(5):
            wanted = searched(candidates, batch_size, chosen_by[:, draw], measured[:, draw])
            sizes, advantages = np.array(wanted).reshape(-1, 2).T
            assert np.array_equal(doublings.sizes[contests.size[draw]], sizes)
            assert np.allclose(contests.advantage[draw], advantages, equal_nan=True)


def test_totals_add_the_contests_of_each_size():
    rng = np.random.default_rng(0)
    candidates = some(rng, members=80)
    doublings = Doublings(candidates, [1])
    accuracies = rng.random((80, 3))
    (contests,) = doublings.contests(accuracies, accuracies)
    total, number = contests.totals(len(doublings.sizes))
    assert np.allclose(total.sum(axis=1), np.nansum(contests.advantage, axis=1))
    assert number.sum() == (~np.isnan(contests.advantage)).sum() > 0


def test_memories_within_one_doubling_have_no_contest():
    alike = Candidates((rival(100, 10, 0.5), rival(110, 10, 0.5)), np.zeros((3, 2)))
    (contests,) = Doublings(alike, [1]).contests(np.ones((2, 4)), np.ones((2, 4)))
    assert contests.advantage.shape == (4, 0)

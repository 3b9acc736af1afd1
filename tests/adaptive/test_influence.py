"""Accuracies of votes and what each sample contributes, against brute force."""

import itertools

import numpy as np
import pytest

from raysweep.adaptive.influence import accuracy_and_influence
from raysweep.adaptive.votes import NO_VOTE


def vote(choices) -> float:
    """The chance that the majority of some choices is right; ties are drawn."""
    votes = [choice for choice in choices if choice != NO_VOTE]
    if not votes:
        return 0.0
    counts = {choice: votes.count(choice) for choice in votes}
    most = [choice for choice, count in counts.items() if count == max(counts.values())]
    return (0 in most) / len(most)


def over_subsets(choices, group: int) -> float:
    return float(np.mean([vote(those) for those in itertools.combinations(choices, group)]))


def some_choices(seed: int, budgets: int = 2, questions: int = 3, n: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(NO_VOTE, 4, (budgets, questions, n))


@pytest.mark.parametrize("seed", range(5))
def test_the_accuracy_is_that_over_all_subsets_of_the_samples(seed: int):
    choice = some_choices(seed)
    accuracy, _ = accuracy_and_influence(choice, (1, 2, 3), samples=12)
    for budget, (at, group) in itertools.product(range(2), enumerate((1, 2, 3))):
        expected = np.mean([over_subsets(own, group) for own in choice[budget].tolist()])
        assert accuracy[budget, at] == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("seed", range(5))
def test_the_contributions_are_those_of_the_jackknife(seed: int):
    choice, n, samples = some_choices(seed), 6, 12
    _, influence = accuracy_and_influence(choice, (1, 3), samples)
    for budget, question, (at, group) in itertools.product(range(2), range(3), enumerate((1, 3))):
        own = choice[budget, question].tolist()
        without = np.array([over_subsets(own[:j] + own[j + 1 :], group) for j in range(n)])
        scale = np.sqrt((n - 1) / n * (1 - n / samples)) / 3
        expected = scale * (without.mean() - without)
        assert influence[budget, at, question] == pytest.approx(expected, abs=1e-11)


def test_of_single_samples_the_squares_sum_to_the_variance_of_a_mean_without_replacement():
    choice = some_choices(7, questions=4, n=8)
    _, influence = accuracy_and_influence(choice, (1,), samples=32)
    right = choice == 0
    variance = (right.var(axis=2, ddof=1) / 8 * (1 - 8 / 32)).sum(axis=1) / 4**2
    assert (influence[:, 0] ** 2).sum(axis=(1, 2)) == pytest.approx(variance, abs=1e-12)


def test_of_all_samples_nothing_is_uncertain():
    _, influence = accuracy_and_influence(some_choices(1), (1, 3), samples=6)
    assert not influence.any()


@pytest.mark.parametrize("group", [1, 3, 4])
def test_the_squares_are_no_less_than_the_true_variance_of_the_difference_from_all_samples(
    group: int,
):
    """The mean over many draws of a pool of 16 samples, 8 of which are seen."""
    rng = np.random.default_rng(3)
    squares, differences = [], []
    for _ in range(400):
        pool = np.where(rng.random((1, 20, 16)) < 0.55, 0, 1)
        seen, influence = accuracy_and_influence(pool[:, :, :8], (group,), 16)
        whole, _ = accuracy_and_influence(pool, (group,), 16)
        squares.append((influence**2).sum())
        differences.append((seen - whole)[0, 0])
    assert np.mean(squares) >= 0.9 * np.var(differences)
    assert np.mean(squares) <= 3 * np.var(differences)

"""What twice the memory is best spent on: the contests behind the scale threshold. Pure: no I/O.

At each memory M the best configuration of any kind has W bytes of weights and spends T tokens in all of
its group. Within twice the memory, the best with more weights and no more tokens meets the best with more
tokens and no more weights. Configurations are chosen by their accuracies on one half of the questions and
measured on the other half, so that a larger choice biases neither side. All draws of the questions are
computed at once. Memory only grows along the way, so every configuration is visited once.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.uncertainty import bootstrap_means
from raysweep.metrics import Floats

STEPS_PER_DOUBLING = 4

# How much more accurate weights are than tokens; NaN where there is no contest.
AdvantageOfWeights = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Contests:
    """What each draw of the questions found at each memory.

    size       index of the best configuration's weights among the effective sizes
    advantage  accuracy of the best with more weights, less that of the best with more tokens
    """

    memories: Floats
    size: NDArray[np.intp]  # [draws, memories]
    advantage: AdvantageOfWeights  # [draws, memories]

    def totals(self, n_sizes: int) -> tuple[Floats, NDArray[np.intp]]:
        """The sum of the advantages at each size, and their number: [draws, sizes] each."""
        held = ~np.isnan(self.advantage)
        at = [(self.size == size) & held for size in range(n_sizes)]
        totals = [np.where(where, self.advantage, 0.0).sum(axis=1) for where in at]
        return np.stack(totals, axis=1), np.stack([where.sum(axis=1) for where in at], axis=1)


def halves(
    candidates: Candidates, counts: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Two independent accuracies of every candidate in each draw of the questions: [2 * draws, members].

    counts  how often each draw holds each question: [draws, questions]

    One half of a draw's questions gives the first accuracy, the other half the second. The second half
    of the rows has the halves exchanged.
    """
    order = rng.random(counts.shape).argsort(axis=1)
    # All copies of a question lie in the same half.
    half = order < counts.shape[1] // 2
    first, second = (
        bootstrap_means(candidates.scores, _shares(np.where(mine, counts, 0.0)))
        for mine in (half, ~half)
    )
    return np.concatenate([first, second]), np.concatenate([second, first])


def _shares(counts: Floats) -> Floats:
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def contests(
    candidates: Candidates, batch_size: int, chosen_by: Floats, measured: Floats
) -> Contests:
    """The advantages at each memory.

    chosen_by  the accuracies by which configurations are chosen: [draws, members]
    measured   the accuracies that are then compared: [draws, members]
    """
    memory = candidates.memory_bytes(batch_size)
    doublings = np.log2(memory.max() / memory.min())
    steps = np.arange(int(doublings * STEPS_PER_DOUBLING) + 1)
    memories = memory.min() * 2.0 ** (steps / STEPS_PER_DOUBLING)
    states = _states(candidates, memory, memories, chosen_by, measured)
    recent: deque[_Best] = deque(maxlen=STEPS_PER_DOUBLING + 1)
    pairs = []
    for state in states:
        recent.append(state)
        if len(recent) > STEPS_PER_DOUBLING:
            pairs.append(_contest(recent[0], state))
    draws = len(chosen_by)
    size, advantage = zip(*pairs, strict=True) if pairs else ((), ())
    return Contests(
        memories[: len(pairs)],
        np.array(size, dtype=np.intp).reshape(len(pairs), draws).T,
        np.array(advantage, dtype=np.float64).reshape(len(pairs), draws).T,
    )


@dataclass(frozen=True, eq=False)
class _Best:
    """The best configuration within a memory of each size and number of tokens: [draws, sizes, tokens].

    chosen_by  the accuracies that choose, -inf where nothing fits
    measured   the accuracy of the same configuration on the other half of the questions
    """

    chosen_by: Floats
    measured: Floats

    def copy(self) -> "_Best":
        return _Best(self.chosen_by.copy(), self.measured.copy())

    def improve(self, at: tuple[int, int], chosen_by: Floats, measured: Floats) -> None:
        """Admit configurations of one size and number of tokens: [draws, configurations] each."""
        rows, winner = np.arange(len(chosen_by)), chosen_by.argmax(axis=1)
        where = (slice(None), *at)
        better = chosen_by[rows, winner] > self.chosen_by[where]
        self.chosen_by[where] = np.where(better, chosen_by[rows, winner], self.chosen_by[where])
        self.measured[where] = np.where(better, measured[rows, winner], self.measured[where])

    def among(self, allowed: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
        """The measured accuracy of the best allowed one, and whether there is one: [draws] each."""
        draws = len(allowed)
        best = np.where(allowed, self.chosen_by, -np.inf).reshape(draws, -1)
        winner, rows = best.argmax(axis=1), np.arange(draws)
        return self.measured.reshape(draws, -1)[rows, winner], best[rows, winner] > -np.inf


def _states(
    candidates: Candidates, memory: Floats, memories: Floats, chosen_by: Floats, measured: Floats
) -> Iterator[_Best]:
    """The state at each memory, least first."""
    sizes, size_of = np.unique(candidates.weights_bytes, return_inverse=True)
    spent = candidates.token_budgets * candidates.group_sizes
    tokens, tokens_of = np.unique(spent, return_inverse=True)
    shape = (len(chosen_by), len(sizes), len(tokens))
    best = _Best(np.full(shape, -np.inf), np.full(shape, np.nan))
    fits_at = np.searchsorted(memories, memory * (1 - 1e-12))
    keys = np.stack([fits_at, size_of, tokens_of], axis=1)
    order = np.lexsort(keys.T[::-1])
    cuts = np.flatnonzero((np.diff(keys[order], axis=0) != 0).any(axis=1)) + 1
    groups = [(tuple(keys[group[0]].tolist()), group) for group in np.split(order, cuts)]
    for step in range(len(memories)):
        while groups and groups[0][0][0] == step:
            (_, size, spend), group = groups.pop(0)
            best.improve((size, spend), chosen_by[:, group], measured[:, group])
        yield best.copy()


def _contest(now: _Best, later: _Best) -> tuple[NDArray[np.intp], AdvantageOfWeights]:
    """The size of the best now, and the advantage of weights at twice the memory: [draws] each."""
    draws, n_sizes, n_tokens = now.chosen_by.shape
    size, tokens = np.divmod(now.chosen_by.reshape(draws, -1).argmax(axis=1), n_tokens)
    larger = (np.arange(n_sizes) > size[:, None])[:, :, None]
    longer = (np.arange(n_tokens) > tokens[:, None])[:, None, :]
    more_weights, can_grow = later.among(larger & ~longer)
    more_tokens, can_think = later.among(~larger & longer)
    return size, np.where(can_grow & can_think, more_weights - more_tokens, np.nan)

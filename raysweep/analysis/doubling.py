"""What twice the memory is best spent on: the contests behind the scale threshold. Pure: no I/O.

At each memory M the best configuration of any kind has W bytes of weights and spends T tokens in all of
its group. Within twice the memory, the best with more weights and no more tokens meets the best with more
tokens and no more weights. One set of accuracies chooses, and another is then compared. With the two
halves of the questions as these sets, a larger choice biases neither side.

All draws of the questions are computed at once. Memory only grows along the way, so every configuration is
visited once. An accuracy and the place of its member are packed into one integer, so the largest integer
names the best member.
"""

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.candidates import Candidates
from raysweep.metrics import Floats

STEPS_PER_DOUBLING = 4

# Draws that are computed together, so that they fit the processor's cache.
DRAWS_AT_ONCE = 256

# Bits of a packed integer that hold a place, and the unit of accuracy in the other bits.
PLACE_BITS, UNITS = 22, 2.0**20
PLACES = (1 << PLACE_BITS) - 1
# Less than any packed accuracy. Its bits name the first place.
NOTHING = np.int64(-1)

Packed = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Contests:
    """What each draw of the questions found at each memory.

    size       index of the best configuration's weights among the effective sizes
    advantage  accuracy of the best with more weights, less that of the best with more tokens; NaN where
               there is no contest
    """

    size: NDArray[np.intp]  # [draws, memories]
    advantage: Floats  # [draws, memories]

    def totals(self, n_sizes: int) -> tuple[Floats, Floats]:
        """The sum of the advantages at each size, and their number: [draws, sizes] each."""
        held = ~np.isnan(self.advantage)
        draws = len(self.advantage)
        cell = (np.arange(draws)[:, None] * n_sizes + self.size)[held]
        total, number = (
            np.bincount(cell, weights, minlength=draws * n_sizes).reshape(draws, n_sizes)
            for weights in (self.advantage[held], np.ones(len(cell)))
        )
        return total, number


@dataclass(frozen=True, eq=False)
class Ladder:
    """The candidates in the order in which memory admits them, at one batch size."""

    candidates: Candidates
    batch_size: int

    @cached_property
    def sizes(self) -> Floats:
        return np.unique(self.candidates.weights_bytes)

    def contests(self, chosen_by: NDArray, measured: NDArray) -> Contests:
        """The contests at each memory.

        chosen_by  the accuracies by which configurations are chosen: [members, draws]
        measured   the accuracies that are then compared: [members, draws]
        """
        parts = [
            self._part(chosen_by[:, at : at + DRAWS_AT_ONCE], measured[:, at : at + DRAWS_AT_ONCE])
            for at in range(0, chosen_by.shape[1], DRAWS_AT_ONCE)
        ]
        size, advantage = (np.concatenate(one, axis=1).T for one in zip(*parts, strict=True))
        return Contests(size, advantage)

    def _part(self, chosen_by: NDArray, measured: NDArray) -> tuple[NDArray[np.intp], Floats]:
        """Sizes and advantages of some draws: [memories, draws] each."""
        best_of_group = np.maximum.reduceat(_packed(chosen_by[self._order]), self._starts, axis=0)
        shape = (len(self.sizes), int(self._token.max()) + 1, chosen_by.shape[1])
        best = np.full(shape, NOTHING)
        size = np.zeros((self._contests, shape[2]), dtype=np.intp)
        advantage = np.full(size.shape, np.nan)
        recent: deque[Packed] = deque(maxlen=STEPS_PER_DOUBLING + 1)
        now = np.full(shape[2], NOTHING)
        for step, groups in enumerate(self._groups_of_step):
            for group in groups:
                at = self._size[group], self._token[group]
                np.maximum(best[at], best_of_group[group], out=best[at])
                now = np.maximum(now, best_of_group[group])
            recent.append(now)
            if step >= STEPS_PER_DOUBLING:
                place = step - STEPS_PER_DOUBLING
                size[place], token = self._choices(recent[0])
                advantage[place] = self._advantage(best, size[place], token, measured)
        return size, advantage

    def _advantage(
        self, best: Packed, size: NDArray[np.intp], token: NDArray[np.intp], measured: NDArray
    ) -> Floats:
        """The advantage of weights over the best of these sizes and tokens: [draws]."""
        grown, longer = np.full((2, len(size)), NOTHING)
        choice = size * best.shape[1] + token
        by_choice = np.argsort(choice, kind="stable")
        for rows in np.split(by_choice, np.flatnonzero(np.diff(choice[by_choice])) + 1):
            w, t = size[rows[0]], token[rows[0]]
            if w + 1 < best.shape[0] and t + 1 < best.shape[1]:
                grown[rows] = best[w + 1 :, : t + 1, rows].max(axis=(0, 1))
                longer[rows] = best[: w + 1, t + 1 :, rows].max(axis=(0, 1))
        more_weights, more_tokens = (
            measured[self._order[PLACES - (one & PLACES)], np.arange(len(one))]
            for one in (grown, longer)
        )
        return np.where((grown >= 0) & (longer >= 0), more_weights - more_tokens, np.nan)

    def _choices(self, best: Packed) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The indices of size and tokens of each draw's best."""
        group = np.searchsorted(self._starts, PLACES - (best & PLACES), side="right") - 1
        return self._size[group], self._token[group]

    @cached_property
    def _keys(self) -> NDArray[np.intp]:
        """The step that admits each member, its size and its tokens, as indices: [members, 3]."""
        memory = self.candidates.memory_bytes(self.batch_size)
        doublings = np.log2(memory.max() / memory.min())
        steps = np.arange(int(doublings * STEPS_PER_DOUBLING) + 1)
        memories = memory.min() * 2.0 ** (steps / STEPS_PER_DOUBLING)
        spent = self.candidates.token_budgets * self.candidates.group_sizes
        size, token = (
            np.unique(values, return_inverse=True)[1]
            for values in (self.candidates.weights_bytes, spent)
        )
        step = np.searchsorted(memories, memory * (1 - 1e-12))
        return np.stack([step, size, token], axis=1)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        """The members that fit the last step, by their keys."""
        order = np.lexsort(self._keys.T[::-1])
        return order[self._keys[order, 0] < self._steps]

    @cached_property
    def _steps(self) -> int:
        memory = self.candidates.memory_bytes(self.batch_size)
        return int(np.log2(memory.max() / memory.min()) * STEPS_PER_DOUBLING) + 1

    @property
    def _contests(self) -> int:
        return max(0, self._steps - STEPS_PER_DOUBLING)

    @cached_property
    def _starts(self) -> NDArray[np.intp]:
        """Where each group of equal keys starts in the order."""
        changes = (np.diff(self._keys[self._order], axis=0) != 0).any(axis=1)
        return np.concatenate([[0], np.flatnonzero(changes) + 1])

    @cached_property
    def _size(self) -> NDArray[np.intp]:
        return self._keys[self._order[self._starts], 1]

    @cached_property
    def _token(self) -> NDArray[np.intp]:
        return self._keys[self._order[self._starts], 2]

    @cached_property
    def _groups_of_step(self) -> list[NDArray[np.intp]]:
        steps = self._keys[self._order[self._starts], 0]
        return [np.flatnonzero(steps == step) for step in range(self._steps)]


def _packed(accuracy: NDArray) -> Packed:
    """Accuracy first, then the place: the earlier of equals is the larger. [places, draws]."""
    places = PLACES - np.arange(len(accuracy), dtype=np.int64)[:, None]
    return ((accuracy * UNITS).astype(np.int64) << PLACE_BITS) | places

"""What twice the memory is best spent on: the contests behind the scale threshold. Pure: no I/O.

At each memory M the best configuration of any kind has W bytes of weights and spends T tokens in all of
its group. Within twice the memory, the best with more weights and no more tokens meets the best with more
tokens and no more weights. One set of accuracies chooses, and another is then compared. With the two
halves of the questions as these sets, a larger choice biases neither side.

Many draws of the questions are computed at once. An accuracy and the place of its member are packed into
one integer, so the largest integer names the best member.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

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
Steps = list[list[int]]
Found = tuple[NDArray[np.intp], Floats]


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
        shape = (draws, n_sizes)
        total = np.bincount(cell, self.advantage[held], minlength=draws * n_sizes)
        number = np.bincount(cell, minlength=draws * n_sizes)
        return total.reshape(shape).astype(np.float64), number.reshape(shape).astype(np.float64)


class Doublings:
    """The contests among some candidates at some batch sizes.

    A *cell* holds the members of one size and number of tokens, least memory first. This order is the same
    at any batch size, since the weights of a cell take the same bytes.
    """

    def __init__(self, candidates: Candidates, batch_sizes: Sequence[int]) -> None:
        spent = candidates.token_budgets * candidates.group_sizes
        self.sizes, size = np.unique(candidates.weights_bytes, return_inverse=True)
        tokens, token = np.unique(spent, return_inverse=True)
        self._order = np.lexsort([candidates.kv_bytes, token, size])
        self._size, self._token = size[self._order], token[self._order]
        cell = self._size * len(tokens) + self._token
        self._cells = np.split(np.arange(len(cell)), np.flatnonzero(np.diff(cell)) + 1)
        self._shape = (len(self.sizes), len(tokens))
        self._admitted = [
            _admitted(candidates.memory_bytes(size)[self._order], cell) for size in batch_sizes
        ]

    def contests(self, chosen_by: NDArray, measured: NDArray) -> list[Contests]:
        """The contests at each batch size.

        chosen_by  the accuracies by which configurations are chosen: [members, draws]
        measured   the accuracies that are then compared: [members, draws]

        Where `chosen_by` is NaN or -inf a member is not chosen. Where `measured` is NaN there is no contest.
        """
        parts = []
        for at in range(0, chosen_by.shape[1], DRAWS_AT_ONCE):
            some = slice(at, at + DRAWS_AT_ONCE)
            best = self._best_so_far(chosen_by[:, some])
            parts.append([self._found(best, steps, measured[:, some]) for steps in self._admitted])
        return [
            Contests(*(np.concatenate(one) for one in zip(*of_batch, strict=True)))
            for of_batch in zip(*parts, strict=True)
        ]

    def _best_so_far(self, chosen_by: NDArray) -> Packed:
        """The best of each member and those before it in its cell: [places, draws].

        Accuracy comes first, then the place, so that the earlier of equals is the larger.
        """
        # What is not known is below everything else, and below NOTHING.
        known = np.fmax(chosen_by, -1)
        packed = (known * np.float32(UNITS)).astype(np.int64)[self._order]
        packed <<= PLACE_BITS
        packed |= PLACES - np.arange(len(packed))[:, None]
        for places in self._cells:
            own = packed[places[0] : places[-1] + 1]
            np.maximum.accumulate(own, axis=0, out=own)
        return packed

    def _found(self, best_so_far: Packed, admitted: Steps, measured: NDArray) -> Found:
        """Sizes and advantages of some draws: [draws, memories] each."""
        draws = measured.shape[1]
        best = np.full((*self._shape, draws), NOTHING)
        now, recent, found = np.full(draws, NOTHING), deque[Packed](), []
        for places in admitted:
            for place in places:
                best[self._size[place], self._token[place]] = best_so_far[place]
                np.maximum(now, best_so_far[place], out=now)
            recent.append(now.copy())
            if len(recent) > STEPS_PER_DOUBLING:
                chosen = _place(recent.popleft())
                size, token = self._size[chosen], self._token[chosen]
                found.append((size, self._advantage(best, size, token, measured)))
        if not found:
            return np.zeros((draws, 0), dtype=np.intp), np.zeros((draws, 0))
        size, advantage = zip(*found, strict=True)
        return np.stack(size, axis=1), np.stack(advantage, axis=1)

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
            measured[self._order[_place(one)], np.arange(len(one))] for one in (grown, longer)
        )
        return np.where((grown >= 0) & (longer >= 0), more_weights - more_tokens, np.nan)


def _place(best: Packed) -> NDArray[np.intp]:
    return PLACES - (best & PLACES)


def _admitted(memory: Floats, cell: NDArray[np.intp]) -> Steps:
    """The last member of each cell that each step of the memory admits, as places in the order."""
    steps = int(np.log2(memory.max() / memory.min()) * STEPS_PER_DOUBLING) + 1
    memories = memory.min() * 2.0 ** (np.arange(steps) / STEPS_PER_DOUBLING)
    step = np.searchsorted(memories, memory * (1 - 1e-12))
    last = np.append((np.diff(step) != 0) | (np.diff(cell) != 0), True)
    return [np.flatnonzero(last & (step == one)).tolist() for one in range(steps)]

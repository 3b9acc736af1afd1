"""The configurations of a benchmark as cells of an array: engines, token budgets, group sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raysweep import memory
from raysweep.adaptive.critical_value import Bools, Indices
from raysweep.adaptive.decisions import Place
from raysweep.frontier import amortised_bytes
from raysweep.metrics import Floats, Ints
from raysweep.spec import EngineSpec

Cell = tuple[int, int, int]


@dataclass(frozen=True)
class Grid:
    """All configurations, by the positions of engine, token budget and group size."""

    engines: tuple[EngineSpec, ...]
    token_budgets: tuple[int, ...]
    group_sizes: tuple[int, ...]

    @property
    def shape(self) -> Cell:
        return len(self.engines), len(self.token_budgets), len(self.group_sizes)

    @cached_property
    def number(self) -> dict[str, int]:
        """The position of each engine, by its id."""
        return {engine.engine_id: at for at, engine in enumerate(self.engines)}

    def engine_id(self, cell: Cell) -> str:
        return self.engines[cell[0]].engine_id

    def place(self, cell: Cell) -> Place:
        return self.engine_id(cell), self.token_budgets[cell[1]], self.group_sizes[cell[2]]

    def cell(self, place: Place) -> Cell:
        engine_id, budget, group = place
        at = self.token_budgets.index(budget), self.group_sizes.index(group)
        return self.number[engine_id], *at

    def memory_bytes(self, prompts: Ints, batch_size: int) -> Floats:
        """Bytes per question of a batch: [engines, budgets, groups].

        prompts  tokens of each engine's longest prompt
        """
        groups = np.array(self.group_sizes, dtype=np.float64)
        rows = []
        for engine, prompt in zip(self.engines, prompts.tolist(), strict=True):
            cache = (engine.model.architecture, engine.kv_policy)
            kv = [memory.kv_bytes(*cache, prompt + budget) for budget in self.token_budgets]
            caches = np.array(kv, dtype=np.float64)[:, None] * groups
            weights = np.full_like(caches, memory.weights_bytes(engine.model, engine.weights))
            rows.append(amortised_bytes(weights, caches, batch_size))
        return np.stack(rows)

    def fits(self, prompts: Ints, batch_size: int, memory_bytes: float | None) -> Bools:
        """Whether each configuration fits a memory for a whole batch: [engines, budgets, groups].

        memory_bytes  None for any
        """
        if memory_bytes is None:
            return np.ones(self.shape, dtype=np.bool_)
        return self.memory_bytes(prompts, batch_size) * batch_size <= memory_bytes


def reach(live: Bools) -> int:
    """The number of token budgets up to the largest live one.

    live  [budgets]
    """
    at = np.flatnonzero(live)
    return int(at[-1]) + 1 if at.size else 0


def index(cells: Sequence[Cell]) -> tuple[Indices, Indices, Indices]:
    """The cells as an index of an array: [engines, budgets, groups]."""
    engine, budget, group = np.array(cells, dtype=np.intp).reshape(-1, 3).T
    return engine, budget, group

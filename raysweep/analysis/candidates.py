"""The scenarios of one benchmark that compete for memory, with each question's score. Pure: no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from raysweep.analysis.uncertainty import mean_score
from raysweep.frontier import amortised_bytes
from raysweep.metrics import Floats

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Candidates:
    """`rows` have the columns of scenarios.parquet; `scores` are [questions, rows], NaN for a question
    without samples. Questions are the same for all, so any two rows can be compared in pairs."""

    rows: tuple[Row, ...]
    scores: Floats

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def accuracy(self) -> Floats:
        return mean_score(self.scores)

    @cached_property
    def weights_bytes(self) -> Floats:
        return self.column("weights_bytes")

    @cached_property
    def kv_bytes(self) -> Floats:
        return self.column("kv_bytes")

    def column(self, name: str) -> Floats:
        return np.array([row[name] for row in self.rows], dtype=np.float64)

    def memory_bytes(self, batch_size: int) -> Floats:
        """Memory of one question of a batch, which shares the weights."""
        return amortised_bytes(self.weights_bytes, self.kv_bytes, batch_size)

    def take(self, indices: Iterable[int]) -> "Candidates":
        chosen = list(indices)
        return Candidates(tuple(self.rows[i] for i in chosen), self.scores[:, chosen])

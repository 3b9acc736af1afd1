"""h2o: keep the heavy hitters and the newest (Zhang et al., arXiv 2306.14048).

A token's score is all the attention that it has received from the queries since it was there, summed
over the query heads that share its key head. The paper evicts one token a step; so does `buffer: 1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.kv.eviction import Eviction, Row

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class H2O(Eviction):
    """`window`: the newest tokens, which always stay; the rest of `budget` are heavy hitters."""

    scores_attention = True

    @property
    def slug(self) -> str:
        return self.named("h2o")

    @property
    def observed_queries(self) -> int:
        return 0

    def scores(self, row: Row) -> torch.Tensor:
        assert row.attention is not None
        return row.attention

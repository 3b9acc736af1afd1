"""A KV policy: one class in one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.kv.eviction import Eviction, Row

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LargestKeys(Eviction):
    """Keep the tokens whose keys are longest."""

    @property
    def observed_queries(self) -> int:
        return 0

    @property
    def slug(self) -> str:
        return self.named("largest_keys")

    def scores(self, row: Row) -> torch.Tensor:
        return row.keys.norm(dim=-1)

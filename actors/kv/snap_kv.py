"""snap_kv: keep what the newest queries attend to (Li et al., arXiv 2404.14469), during decoding.

SnapKV compresses a prompt once, by the attention of the queries in an observation window at its end,
pooled over neighbouring tokens. Here the same is done each time the buffer is full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.kv.eviction import Eviction, Row, observed_attention, smoothed

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SnapKV(Eviction):
    """`kernel`: neighbouring tokens over which a score is pooled, odd."""

    kernel: int = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel: {self.kernel} is not an odd positive number; write one")

    @property
    def slug(self) -> str:
        return self.named("snap_kv")

    def scores(self, row: Row) -> torch.Tensor:
        return smoothed(observed_attention(row, self.window), self.kernel)

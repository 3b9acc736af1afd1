"""snap_kv: keep what the newest queries attend to (Li et al., arXiv 2404.14469), during decoding.

    score = max-pool over `kernel` tokens of mean over queries of softmax over tokens of (q · k / √head_dim)

The queries are those of the newest `window` tokens. Of the query heads that share a key head, the largest
logit is taken. SnapKV compacts a prompt once; here a row is compacted each time it holds
`budget + buffer` tokens, to the newest `window` and the older ones with the highest scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.kv.eviction import Eviction, Row, observed_attention, smoothed

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SnapKV(Eviction):
    """Parameters, all in tokens.

    budget  tokens that a compaction leaves, per layer and KV head; no default
    window  newest tokens, which always stay and whose queries score the others; default 8
    buffer  tokens between two compactions; default 128
    kernel  neighbouring tokens over which scores are max-pooled, odd; default 7
    """

    kernel: int = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel: {self.kernel} is not an odd positive number; write one")

    @property
    def slug(self) -> str:
        return self.named("snap_kv")

    def scores(self, row: Row) -> torch.Tensor:
        """[n, kv_heads, tokens - window]"""
        return smoothed(observed_attention(row, self.window), self.kernel)

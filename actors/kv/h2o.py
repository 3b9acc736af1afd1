"""h2o: keep the heavy hitters and the newest tokens (Zhang et al., arXiv 2306.14048).

    score(token) = sum over queries since the token came, over the query heads that share its key head,
                   of the attention weight that the query gave to the token

A row that holds `budget + buffer` tokens is compacted to the newest `window` and the older ones with the
highest scores. The paper evicts one token per step, as `buffer: 1` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.kv.eviction import Eviction, Row

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class H2O(Eviction):
    """Parameters, all in tokens.

    budget  tokens that a compaction leaves, per layer and KV head; no default
    window  newest tokens, which always stay; default 8
    buffer  tokens between two compactions; default 128
    """

    scores_attention = True

    @property
    def slug(self) -> str:
        return self.named("h2o")

    @property
    def observed_queries(self) -> int:
        return 0

    def scores(self, row: Row) -> torch.Tensor:
        """[n, kv_heads, tokens]"""
        assert row.attention is not None
        return row.attention

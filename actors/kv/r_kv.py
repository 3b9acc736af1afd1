"""r_kv: keep what is important and not redundant (Cai et al., arXiv 2505.24133).

    score = importance_weight * importance - (1 - importance_weight) * redundancy

Importance is the attention of the newest `window` queries, max-pooled over neighbours, as in snap_kv.
Redundancy is the softmax, over the tokens of a row and head, of a token's mean cosine similarity to the
others. For each token, the similarity to the newest one that resembles it is left out of that one's mean,
so that of several similar tokens the newest survive. A row is compacted when it holds `budget + buffer`
tokens, to the newest `window` and the older ones with the highest scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.kv.eviction import Row, observed_attention, smoothed
from actors.kv.snap_kv import SnapKV

if TYPE_CHECKING:
    import torch

SIMILAR = 0.5  # two keys resemble each other if their cosine is larger
TINY = 1e-8  # added to each norm, so that a key of zeros has cosine 0 with all others


@dataclass(frozen=True)
class RKV(SnapKV):
    """Parameters, in tokens except for the last.

    budget             tokens that a compaction leaves, per layer and KV head; no default
    window             newest tokens, which always stay and whose queries score the others; default 8
    buffer             tokens between two compactions; default 128
    kernel             neighbouring tokens over which importance is max-pooled, odd; default 7
    importance_weight  share of importance in the score, 0 to 1, the paper's lambda; default 0.1 as in the
                       paper (its published code has 0.07)
    """

    importance_weight: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.importance_weight <= 1:
            raise ValueError(
                f"importance_weight: {self.importance_weight} is out of range; write 0 to 1"
            )

    @property
    def slug(self) -> str:
        return self.named("r_kv")

    def scores(self, row: Row) -> torch.Tensor:
        """[layers, kv_heads, tokens - window]"""
        importance = smoothed(observed_attention(row, self.window), self.kernel)
        older = redundancy(row.keys)[..., : importance.shape[-1]]
        return self.importance_weight * importance - (1 - self.importance_weight) * older


def redundancy(keys: torch.Tensor) -> torch.Tensor:
    """[layers, kv_heads, tokens] from keys [layers, kv_heads, tokens, head_dim]."""
    import torch

    # Head by head: all pairs of tokens take too much memory for all heads at once.
    heads = [_redundancy_of_head(head) for head in keys.flatten(0, 1)]
    return torch.stack(heads).view(keys.shape[:3])


def _redundancy_of_head(keys: torch.Tensor) -> torch.Tensor:
    """[tokens] from keys [tokens, head_dim]."""
    import torch

    directions = keys / (keys.norm(dim=-1, keepdim=True) + TINY)
    cosines = directions @ directions.T  # [tokens, tokens]
    cosines.fill_diagonal_(0.0)
    places = torch.arange(len(keys), device=keys.device, dtype=torch.int32)
    newest = torch.where(cosines > SIMILAR, places, 0).amax(-1, keepdim=True)
    cosines.scatter_(-1, newest.long(), 0.0)
    return cosines.mean(0).softmax(-1)

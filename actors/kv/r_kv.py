"""r_kv: keep what is important and not redundant (Cai et al., arXiv 2505.24133).

    score = weight * importance - (1 - weight) * redundancy

Importance is the attention of the newest `window` queries, pooled over neighbours, as in snap_kv.
Redundancy is a token's mean cosine similarity to the other tokens of its row and head, softmaxed; for
each token, the newest one that resembles it is not counted against that one, so that of a family of
similar tokens the newest survive. The paper's weight (its lambda) is 0.1, its code's default 0.07.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.kv.eviction import Row, observed_attention, smoothed
from actors.kv.snap_kv import SnapKV

if TYPE_CHECKING:
    import torch

SIMILAR = 0.5  # cosine above which two keys are taken to say the same
TINY = 1e-8


@dataclass(frozen=True)
class RKV(SnapKV):
    """`importance_weight`: the paper's lambda, 0 to 1."""

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
        importance = smoothed(observed_attention(row, self.window), self.kernel)
        older = redundancy(row.keys)[..., : importance.shape[-1]]
        return self.importance_weight * importance - (1 - self.importance_weight) * older


def redundancy(keys: torch.Tensor) -> torch.Tensor:
    """[layers, kv_heads, tokens] from keys [layers, kv_heads, tokens, head_dim]."""
    import torch

    # Head by head: every token against every token is a lot for all heads at once.
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

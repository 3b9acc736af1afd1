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

from actors import kernels
from actors.kv.eviction import Row, observed_attention, smoothed
from actors.kv.snap_kv import SnapKV

if TYPE_CHECKING:
    import torch

SIMILAR = 0.5  # two keys resemble each other if their cosine is larger
TINY = 1e-8  # added to each norm, so that a key of zeros has cosine 0 with all others
PAIRS = 1 << 20  # of tokens that are compared at a time, so that they stay in a CPU's cache


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
        """[n, kv_heads, tokens - window]"""
        importance = smoothed(observed_attention(row, self.window), self.kernel)
        older = redundancy(row.keys)[..., : importance.shape[-1]]
        return self.importance_weight * importance - (1 - self.importance_weight) * older


def redundancy(keys: torch.Tensor) -> torch.Tensor:
    """[n, kv_heads, tokens] from keys [n, kv_heads, tokens, head_dim].

    A token's similarities to all others sum up to one product with the sum of all directions. So pairs of
    tokens are only looked at to find each token's newest likeness, some tokens at a time.
    """
    if kernels.used_on(keys.device):
        from actors.kernels import redundancy as kernel

        return kernel.redundancy(keys)
    directions = keys / (keys.norm(dim=-1, keepdim=True) + TINY)
    total = directions.sum(2, keepdim=True)
    squares = directions.square().sum(-1)
    similarities = (directions * total).sum(-1) - squares
    newest = newest_alike(directions)
    likeness = (directions * _at(directions, newest)).sum(-1)
    own = newest == _places(directions)
    similarities.scatter_add_(-1, newest, (own * squares - likeness))
    return (similarities / keys.shape[2]).softmax(-1)


def newest_alike(directions: torch.Tensor) -> torch.Tensor:
    """The place of the newest other token that resembles each token, 0 if none does: [n, kv_heads, tokens].

    directions  [n, kv_heads, tokens, head_dim], of length 1
    """
    import torch

    places, found = _places(directions), []
    for some in places.split(max(1, PAIRS // directions[..., 0].numel())):
        # [n, kv_heads, some, tokens]
        cosines = directions[:, :, some] @ directions.transpose(-1, -2)
        alike = (cosines > SIMILAR) & (some[:, None] != places)
        found.append(torch.where(alike, places, 0).amax(-1))
    return torch.cat(found, -1)


def _places(directions: torch.Tensor) -> torch.Tensor:
    """0 .. tokens - 1"""
    import torch

    return torch.arange(directions.shape[2], device=directions.device)


def _at(directions: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The directions of the tokens at places [n, kv_heads, tokens]."""
    return directions.gather(2, places[..., None].expand_as(directions))

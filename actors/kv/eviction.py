"""What evicting policies share: when a row is compacted, and to how many tokens.

A row grows until its buffer is full, that is to `budget + buffer` tokens, and is then compacted to
`budget`. The newest `window` tokens stay, and of the older ones those with the highest scores, chosen for
each layer and KV head separately. A row is scored from its own tokens alone. A policy defines `scores`.

Files of policies import torch only inside their methods (see `raysweep.kv_policy`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from actors import kernels
from raysweep.kv_policy import Held

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Row:
    """Tokens as a policy sees them, oldest first: of one row in n layers, or of n rows in one layer.

    Each of the n is scored for itself. Numbers are in 32 bit, but keys may be as they are stored on a GPU.

    keys       [n, kv_heads, tokens, head_dim], rotated to their positions
    queries    [n, kv_heads, group, observed, head_dim], the newest `observed_queries`, oldest first;
               group: the query heads that share a key head
    attention  [n, kv_heads, tokens], the attention that each token has received so far;
               None unless the policy's `scores_attention` is true
    """

    keys: torch.Tensor
    queries: torch.Tensor
    attention: torch.Tensor | None


@dataclass(frozen=True)
class Eviction:
    """The parameters of every evicting policy; `scores` is left to each. An `EvictingPolicy`.

    budget  tokens that a compaction leaves, per layer and KV head; no default
    window  newest tokens, which always stay; default 8
    buffer  tokens between two compactions; default 128
    """

    budget: int
    window: int = 8
    buffer: int = 128

    packing = None
    scores_attention = False
    sinks = 0

    def __post_init__(self) -> None:
        for name in ("budget", "window", "buffer"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is too small; write 1 or more")
        if self.budget <= self.window:
            raise ValueError(
                f"budget: {self.budget} leaves no token besides the window of {self.window}; raise it"
            )

    @property
    def observed_queries(self) -> int:
        return self.window

    @property
    def compacts_at(self) -> int:
        """Tokens at which a row is compacted."""
        return self.budget + self.buffer

    def held(self, tokens: int) -> Held:
        if tokens < self.compacts_at:
            return Held(tokens)
        return Held(self.budget + (tokens - self.budget) % self.buffer)

    def reserved(self, tokens: int) -> Held:
        return Held(min(tokens, self.compacts_at))

    def named(self, method: str) -> str:
        """`method-budget`, then every value that is not the default: `r_kv-64-b32` has a buffer of 32."""
        marks = {"window": "n", "buffer": "b", "kernel": "k", "importance_weight": "w"}
        changed = [
            f"-{marks[field.name]}{getattr(self, field.name):g}"
            for field in fields(self)
            if field.name in marks and getattr(self, field.name) != field.default
        ]
        return f"{method}-{self.budget}" + "".join(changed)

    def scores(self, row: Row) -> torch.Tensor:
        """[n, kv_heads, tokens] or without the window: how much each token is worth keeping."""
        raise NotImplementedError


def best(scores: torch.Tensor, count: int) -> torch.Tensor:
    """Indices of the `count` best tokens, oldest first: [n, kv_heads, count].

    Of tokens with equal scores, which pooling makes common, the older one is kept.
    """
    if kernels.used_on(scores.device):
        from actors.kernels.keep_best import keep_best

        return keep_best(scores.float(), count, window=0)
    ranked = scores.sort(dim=-1, descending=True, stable=True).indices
    return ranked[..., :count].sort(dim=-1).values


def observed_attention(row: Row, window: int) -> torch.Tensor:
    """Attention of the observed queries to the tokens older than them: [n, kv_heads, older].

    Take the largest logit over the query heads that share a key head, the softmax over the older tokens
    in 32 bit, then the mean over the queries.
    """
    if kernels.used_on(row.keys.device):
        from actors.kernels import observed_attention as kernel

        return kernel.observed_attention(row.keys, row.queries, window)
    older = row.keys[:, :, : row.keys.shape[2] - window]
    # The query heads stand where a sequence's queries would, so that keys are not copied for each.
    queries = row.queries.flatten(2, 3)  # [n, kv_heads, group * observed, head_dim]
    logits = queries @ older.transpose(-1, -2) / row.keys.shape[-1] ** 0.5
    return logits.unflatten(2, row.queries.shape[2:4]).amax(2).softmax(-1).mean(-2)


def smoothed(scores: torch.Tensor, kernel: int) -> torch.Tensor:
    """The largest score within `kernel` neighbouring tokens; same shape [n, kv_heads, tokens]."""
    import torch

    return torch.nn.functional.max_pool1d(scores, kernel, stride=1, padding=kernel // 2)

"""Attention within a prompt: each token attends to all before it, and what later steps need is stored."""

import torch
from torch.nn import functional

from actors.kv_cache.prompt import PromptKV


class PromptAttention:
    """The keys, values and perhaps queries of a prompt, as far as its tokens have been computed.

    tokens  of the whole prompt
    start   tokens that have been computed in all layers
    """

    def __init__(self, tokens: int, layers: int, storage: torch.dtype, keep_queries: bool):
        self.tokens, self.layers, self.storage = tokens, layers, storage
        self.keep_queries, self.start = keep_queries, 0
        self.kv: PromptKV | None = None

    def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Store the next tokens of the prompt and attend: [n, heads * head_dim].

        q [n, heads, head_dim], k and v [n, kv_heads, head_dim], rotated
        """
        if self.kv is None:
            self.kv = self._room(q, k)
        end, group = self.start + len(q), q.shape[1] // k.shape[1]
        new = slice(self.start, end)
        self.kv.keys[layer, :, new] = k.transpose(0, 1).to(self.storage)
        self.kv.values[layer, :, new] = v.transpose(0, 1).to(self.storage)
        q = q.transpose(0, 1)  # [heads, n, head_dim]
        if self.kv.queries is not None:
            self.kv.queries[layer, :, :, new] = q.unflatten(0, (-1, group)).to(self.storage)
        keys = self.kv.keys[layer, :, :end].to(q.dtype).repeat_interleave(group, 0)
        values = self.kv.values[layer, :, :end].to(q.dtype).repeat_interleave(group, 0)
        places = torch.arange(end, device=q.device)
        mask = places[None] <= places[self.start :, None] if self.start else None
        out = functional.scaled_dot_product_attention(
            q[None], keys[None], values[None], attn_mask=mask, is_causal=mask is None
        )
        if layer == self.layers - 1:
            self.start = end
        return out[0].transpose(0, 1).flatten(1)

    def _room(self, q: torch.Tensor, k: torch.Tensor) -> PromptKV:
        (_, heads, head_dim), kv_heads = q.shape, k.shape[1]
        each = (self.tokens, head_dim)

        def empty(*shape: int) -> torch.Tensor:
            return torch.empty(self.layers, *shape, *each, dtype=self.storage, device=q.device)

        queries = empty(kv_heads, heads // kv_heads) if self.keep_queries else None
        return PromptKV(empty(kv_heads), empty(kv_heads), queries)

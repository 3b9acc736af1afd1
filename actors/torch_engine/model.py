"""The forward pass: transformers' weights and modules under our own attention and KV slots.

Weights and KV cache are stored in 16 bit. On CUDA the arithmetic is 16 bit too; on a CPU each operand is
widened to 32 bit where it is used, so bytes are those of a GPU and sums are exact enough to compare.
A row's result does not depend on its neighbours: rows are padded to a multiple of ROW_BLOCK and lengths
to SLOT_BLOCK, because BLAS picks other kernels, with other roundings, for a handful of rows.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModelForCausalLM
from transformers.models.qwen3.modeling_qwen3 import apply_rotary_pos_emb

from actors.kv.pool import SLOT_BLOCK, KVPool, PromptKV, round_up

ROW_BLOCK = 16


class Decoder:
    """A causal language model in Qwen3's shape, decoded one token a row."""

    def __init__(self, path: str, storage: torch.dtype, device: torch.device):
        self.device = device
        self.storage = storage
        self.compute = storage if device.type == "cuda" else torch.float32
        model: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype=storage, use_safetensors=True, trust_remote_code=False
        )
        self.model = model.to(device).eval()

    @torch.inference_mode()
    def prefill(self, tokens: Sequence[int]) -> tuple[PromptKV, torch.Tensor]:
        """A prompt's keys and values, and the logits [vocabulary] after its last token.

        One prompt at a time: its shape, and so its rounding, is its own.
        """
        positions = torch.arange(len(tokens), device=self.device)
        keys, values = [], []

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            keys.append(k.to(self.storage).transpose(0, 1))
            values.append(v.to(self.storage).transpose(0, 1))
            k, v = keys[-1].to(q.dtype), values[-1].to(q.dtype)
            groups = q.shape[1] // k.shape[0]
            k, v = k.repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
            q = q.transpose(0, 1)
            out = functional.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)
            return out[0].transpose(0, 1).flatten(1)

        hidden = self._layers(torch.tensor(tokens, device=self.device), positions, attend)
        logits = self._logits(hidden[-1:].expand(ROW_BLOCK, -1))[0]
        return PromptKV(torch.stack(keys), torch.stack(values)), logits

    @torch.inference_mode()
    def decode(self, tokens: torch.Tensor, positions: torch.Tensor, pool: KVPool) -> torch.Tensor:
        """Feed one token to each of the pool's first n rows; logits [n, vocabulary].

        tokens, positions: [n], int64; n is a multiple of ROW_BLOCK or the pool's number of rows.
        """
        slots = pool.policy.slots(positions)
        lengths = torch.tensor([pool.policy.kept(p + 1) for p in positions.tolist()])
        length = min(pool.capacity, round_up(int(lengths.max()), SLOT_BLOCK))
        valid = torch.arange(length)[None] < lengths[:, None]
        mask = torch.zeros(valid.shape, dtype=self.compute).masked_fill(~valid, float("-inf"))
        mask = mask[:, None, None].to(self.device)  # [n, 1, 1, length]

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            pool.append(layer, slots, k, v)
            k, v = pool.read(layer, len(tokens), length, q.dtype)
            # The query heads that share a key head are its "sequence": grouped attention, no copy.
            q = q.view(len(tokens), k.shape[1], -1, q.shape[-1])
            out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            return out.flatten(1)

        return self._logits(self._layers(tokens, positions, attend))

    def _layers(self, tokens: torch.Tensor, positions: torch.Tensor, attend: Any) -> torch.Tensor:
        """Hidden states [n, hidden] after the last layer; `attend` keeps and reads keys and values."""
        body = self.model.model
        hidden = functional.embedding(tokens, body.embed_tokens.weight).to(self.compute)
        cos, sin = body.rotary_emb(hidden, positions[None])
        for index, layer in enumerate(body.layers):
            attention = layer.self_attn
            normed = layer.input_layernorm(hidden)
            heads = (len(tokens), -1, attention.head_dim)
            q = _normed(attention, "q_norm", _project(attention.q_proj, normed).view(heads))
            k = _normed(attention, "k_norm", _project(attention.k_proj, normed).view(heads))
            v = _project(attention.v_proj, normed).view(heads)
            q, k = apply_rotary_pos_emb(q, k, cos[0], sin[0])
            hidden = hidden + _project(attention.o_proj, attend(index, q, k, v))
            normed = layer.post_attention_layernorm(hidden)
            gated = functional.silu(_project(layer.mlp.gate_proj, normed))
            up = _project(layer.mlp.up_proj, normed)
            hidden = hidden + _project(layer.mlp.down_proj, gated * up)
        return body.norm(hidden)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return _project(self.model.lm_head, hidden)


def _project(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A linear layer; plain ones are widened to the arithmetic's type, quantised ones know themselves."""
    if type(module) is nn.Linear:
        bias = None if module.bias is None else module.bias.to(x.dtype)
        return functional.linear(x, module.weight.to(x.dtype), bias)
    return module(x)


def _normed(attention: nn.Module, name: str, heads: torch.Tensor) -> torch.Tensor:
    """Qwen3 normalises queries and keys per head; its elders do not."""
    norm = getattr(attention, name, None)
    return heads if norm is None else norm(heads)

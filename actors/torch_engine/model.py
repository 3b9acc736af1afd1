"""The forward pass: transformers' weights and modules with our own attention and KV slots.

Weights and KV cache are stored in 16 bit. On CUDA the arithmetic is 16 bit too. On a CPU the layers multiply
in bf16 where the CPU can, and in 32 bit otherwise (see `cpu_linear`); all else, the logits included, is in 32
bit. So bytes are those of a GPU. On a CPU a row's result does not depend on its neighbours. For this, extents
are padded to whole blocks of slots, and rows to a block that is measured (see `row_block`). On a GPU it may
be rounded otherwise, by the number of rows and by the prompts that are computed together.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.models.qwen3.modeling_qwen3 import apply_rotary_pos_emb

from actors import kernels
from actors.kv_cache.cache import KVCache
from actors.kv_cache.prompt import PromptKV
from actors.kv_cache.step import attend, begin
from actors.torch_engine.cpu_linear import CpuLinear, Layers, arithmetic_on_cpu
from actors.torch_engine.prompt_attention import PromptAttention
from actors.torch_engine.row_block import LARGEST_BLOCK
from actors.torch_engine.weights import load_model
from raysweep.memory import PREFILL_TOKENS
from raysweep.system.machine import available_bytes

PREFILL_CHUNK = 512  # prompt tokens that a CPU computes at a time


class Decoder:
    """A causal language model in Qwen3's shape, decoded one token per row.

    model       transformers' model with its weights, on `device`
    storage     the type of weights and KV cache
    arithmetic  the type in which the layers multiply on a CPU; None: the fastest that suits `storage`
    """

    def __init__(
        self,
        model: Any,
        storage: torch.dtype,
        device: torch.device,
        arithmetic: torch.dtype | None = None,
    ):
        self.model, self.device, self.storage = model, device, storage
        self.compute = storage if kernels.used_on(device) else torch.float32
        self.linears: dict[Layers, Any]
        if kernels.used_on(device):
            self.linears = _gpu_linears(self.model)
        else:
            self.linears = _cpu_linears(self.model, arithmetic or arithmetic_on_cpu(storage))

    @torch.inference_mode()
    def prefill(
        self, tokens: Sequence[int], keep_queries: bool = False
    ) -> tuple[PromptKV, torch.Tensor]:
        """A prompt's keys and values (and queries), and the logits [vocabulary] after its last token.

        One prompt alone and in chunks, so that its shape, and so its rounding, depends on it alone.
        """
        own = self._prompt(tokens, keep_queries)
        hidden = torch.empty(0)
        size = PREFILL_TOKENS if kernels.used_on(self.device) else PREFILL_CHUNK
        for start in range(0, len(tokens), size):
            ids = torch.tensor(tokens[start : start + size], device=self.device)
            positions = torch.arange(start, start + len(ids), device=self.device)
            hidden = self._layers(ids, positions, own.attend)
        logits = self._logits(hidden[-1:].expand(LARGEST_BLOCK, -1))[0].clone()
        assert own.kv is not None
        return own.kv, logits

    def _prompt(self, tokens: Sequence[int], keep_queries: bool) -> PromptAttention:
        layers = len(self.model.model.layers)
        return PromptAttention(len(tokens), layers, self.storage, keep_queries)

    def prefill_some(
        self, prompts: Sequence[Sequence[int]], keep_queries: bool
    ) -> list[tuple[PromptKV, torch.Tensor]]:
        """`prefill` of the first prompts: of one on a CPU, of `PREFILL_TOKENS` tokens on a GPU."""
        ends = accumulate(len(tokens) for tokens in prompts)
        count = sum(end <= PREFILL_TOKENS for end in ends) if kernels.used_on(self.device) else 1
        if count <= 1:
            return [self.prefill(prompts[0], keep_queries)]
        return self._prefill_together(prompts[:count], keep_queries)

    @torch.inference_mode()
    def _prefill_together(
        self, prompts: Sequence[Sequence[int]], keep_queries: bool
    ) -> list[tuple[PromptKV, torch.Tensor]]:
        """One pass over several prompts, in which each attends to itself alone."""
        lengths = [len(tokens) for tokens in prompts]
        own = [self._prompt(tokens, keep_queries) for tokens in prompts]

        def attend(layer: int, *qkv: torch.Tensor) -> torch.Tensor:
            split = zip(*(each.split(lengths) for each in qkv), strict=True)
            return torch.cat([o.attend(layer, *one) for o, one in zip(own, split, strict=True)])

        ids = torch.tensor([token for tokens in prompts for token in tokens], device=self.device)
        positions = torch.cat([torch.arange(n, device=self.device) for n in lengths])
        hidden = self._layers(ids, positions, attend)
        ends = torch.tensor(lengths, device=self.device).cumsum(0) - 1
        logits = self._logits(hidden[ends])
        pairs = zip(own, logits, strict=True)
        return [(one.kv, row.clone()) for one, row in pairs if one.kv is not None]

    @torch.inference_mode()
    def decode(self, tokens: torch.Tensor, positions: torch.Tensor, cache: KVCache) -> torch.Tensor:
        """Feed one token to each of the cache's first n rows; logits [n, vocabulary]. For a CPU.

        tokens, positions: [n], int64; n is a multiple of the row block. The caller ends the step (`step.end`)
        for the rows that are in use.
        """
        step = begin(cache, len(tokens))
        return self._logits(self._layers(tokens, positions, partial(attend, cache, step)))

    def _layers(self, tokens: torch.Tensor, positions: torch.Tensor, attend: Any) -> torch.Tensor:
        """Hidden states [n, hidden] after the last layer; `attend` stores and reads keys and values."""
        body = self.model.model
        hidden = functional.embedding(tokens, body.embed_tokens.weight).to(self.compute)
        cos, sin = body.rotary_emb(hidden, positions[None])
        for index, layer in enumerate(body.layers):
            attention = layer.self_attn
            heads = (len(tokens), -1, attention.head_dim)
            projected = self._products(layer.input_layernorm(hidden), *qkv(layer))
            q, k, v = (each.reshape(heads) for each in projected)
            q, k = _normed(attention, "q_norm", q), _normed(attention, "k_norm", k)
            q, k = apply_rotary_pos_emb(q, k, cos[0], sin[0])
            hidden = hidden + self._products(attend(index, q, k, v), attention.o_proj)[0]
            hidden = hidden + self._feed_forward(layer, layer.post_attention_layernorm(hidden))
        return body.norm(hidden)

    def _feed_forward(self, layer: Any, x: torch.Tensor) -> torch.Tensor:
        gate, up = self._products(x, *gate_up(layer))
        gated = functional.silu(gate, inplace=True).mul_(up)
        return self._products(gated, layer.mlp.down_proj)[0]

    @property
    def head(self) -> Any:
        """The product that gives the logits."""
        return self.linears[(self.model.lm_head,)]

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.head(hidden)[0]

    def _products(self, x: torch.Tensor, *layers: nn.Module) -> Sequence[torch.Tensor]:
        """Each linear layer applied to x."""
        return self.linears[layers](x)


def qkv(layer: Any) -> Layers:
    return (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)


def gate_up(layer: Any) -> Layers:
    return (layer.mlp.gate_proj, layer.mlp.up_proj)


def _together(model: Any) -> Iterator[Layers]:
    """The linear layers by what reads the same input."""
    for layer in model.model.layers:
        yield from (qkv(layer), (layer.self_attn.o_proj,), gate_up(layer), (layer.mlp.down_proj,))
    yield (model.lm_head,)


def _gpu_linears(model: Any) -> dict[Layers, Any]:
    from actors.torch_engine.gpu_linear import GpuLinear

    return {layers: GpuLinear(layers) for layers in _together(model)}


def _cpu_linears(model: Any, arithmetic: torch.dtype) -> dict[Layers, CpuLinear]:
    """The products of all linear layers.

    Working copies are kept if they take at most half of the free memory.
    Logits are computed in 32 bit, because bf16 has steps of 1/8 where logits are above 16.
    """
    linears = {layers: CpuLinear(layers, arithmetic) for layers in _together(model)}
    head: Layers = (model.lm_head,)
    linears[head] = CpuLinear(head, torch.float32)
    if 2 * sum(linear.copy_bytes for linear in linears.values()) <= available_bytes():
        for linear in linears.values():
            linear.keep()
    return linears


def _normed(attention: nn.Module, name: str, heads: torch.Tensor) -> torch.Tensor:
    """Qwen3 normalises queries and keys per head; Qwen2 and Llama do not."""
    norm = getattr(attention, name, None)
    return heads if norm is None else norm(heads)


def load_decoder(
    path: str, storage: torch.dtype, device: torch.device, arithmetic: torch.dtype | None = None
) -> Decoder:
    """The decoder of the model in a Hugging Face folder."""
    decoder = Decoder(load_model(path, storage, device), storage, device, arithmetic)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # of the layers' weights before they were laid side by side
    return decoder

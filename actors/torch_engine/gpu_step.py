"""One decoding step on a GPU: from the tokens that are fed to those that are drawn, in one recording.

    embedding -> per layer: join, append, attention over splits, their join, gate -> logits -> draw

Each layer takes at most 12 launches. All that varies from step to step comes in one tensor of whole numbers,
a column per row. So a step's shape is its number of rows, which is rounded up to one of few buckets. The rows
beyond the batch hold nothing and write nothing.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from actors.kernels.add_norm import add_norm
from actors.kernels.append import append
from actors.kernels.decode_attention import attention_scratch, decode_attention
from actors.kernels.draw import draw
from actors.kernels.gated import gated
from actors.kv_cache import step
from actors.kv_cache.cache import KVCache
from actors.torch_engine.batch import NOTHING, Batch, Drawn
from actors.torch_engine.graphs import Graphs, bucket
from actors.torch_engine.model import Decoder, gate_up, qkv

WHOLE = ("tokens", "sources", "positions", "slots", "query_slots", "native", "packed", "top_k")
REAL = ("draws", "temperature", "top_p", "min_p")  # their bits, as whole numbers
STANDS_STILL = -1  # the slot of a row that writes nothing


class GpuStep:
    """The step of an engine, with its recordings.

    graphs  None: steps are not recorded
    last    [rows], the tokens that the rows drew last
    """

    def __init__(self, decoder: Decoder, cache: KVCache, graphs: Graphs | None):
        self.decoder, self.cache, self.graphs = decoder, cache, graphs
        self.last = torch.zeros(cache.rows, dtype=torch.long, device=cache.device)

    @cached_property
    def scratch(self) -> Any:
        """Of attention, for all rows and slots; made when the cache has been reserved."""
        return attention_scratch(self.cache)

    @torch.inference_mode()
    def __call__(self, batch: Batch, before: Drawn | None) -> Drawn:
        """The tokens that the rows draw. Those of the last step are in `last`."""
        count = len(batch.tokens)
        rows = bucket(count, self.cache.rows)
        columns = torch.from_numpy(self._columns(batch, rows))
        if self.cache.device.type == "cuda":
            columns = columns.pin_memory()
        columns = columns.to(self.cache.device, non_blocking=True)
        if self.graphs is None:
            drawn = self.forward((columns, self.last))
        else:
            inputs = (columns, self.last)
            drawn = self.graphs.run(lambda: self.cache.addresses, rows, inputs, self.forward)
        self.last[:rows] = drawn
        return Drawn(self.last, _reader(drawn[:count]))

    def _columns(self, batch: Batch, rows: int) -> np.ndarray:
        """[fields, rows], int64"""
        count = len(batch.tokens)
        slots, native, packed = step.slots_of(self.cache, count)
        observed = max(1, self.cache.policy.observed_queries)
        seen = [extent.seen % observed for extent in self.cache.extents[:count]]
        ways = batch.samplings
        top_k = [way.top_k for way in ways]
        whole = [batch.tokens, batch.sources, batch.positions, slots, seen, native, packed, top_k]
        real = [batch.draws, *([getattr(way, name) for way in ways] for name in REAL[1:])]
        columns = np.zeros((len(WHOLE) + len(REAL), rows), dtype=np.int64)
        columns[: len(WHOLE), :count] = whole
        columns[len(WHOLE) :, :count] = np.array(real, dtype=np.float64).view(np.int64)
        columns[WHOLE.index("slots"), count:] = STANDS_STILL
        return columns

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """The tokens drawn, [rows], from the columns and the last step's tokens."""
        columns, last = inputs
        fields = dict(zip((*WHOLE, *REAL), columns, strict=True))
        tokens = torch.where(fields["tokens"] == NOTHING, last[fields["sources"]], fields["tokens"])
        hidden = self._layers(tokens.clamp(min=0), fields["positions"], columns.int())
        logits = self.decoder.head.joined(hidden)
        real = columns[len(WHOLE) :].view(torch.float64)
        temperature, top_p, min_p = real[1:].float()
        return draw(logits, real[0], temperature, fields["top_k"].int(), top_p, min_p)

    def _layers(
        self, tokens: torch.Tensor, positions: torch.Tensor, columns: torch.Tensor
    ) -> torch.Tensor:
        """Normalised hidden states [rows, hidden] after the last layer."""
        body, cache = self.decoder.model.model, self.cache
        hidden = functional.embedding(tokens, body.embed_tokens.weight)
        cos, sin = body.rotary_emb(hidden, positions[None])
        norms = [layer.input_layernorm for layer in body.layers]
        normed = _added(hidden, None, norms[0])
        for index, layer in enumerate(body.layers):
            following = norms[index + 1] if index + 1 < len(norms) else body.norm
            linears, own = self.decoder.linears, layer.self_attn
            joined = linears[qkv(layer)].joined(normed)
            q = append(cache, index, joined, own, cos[0], sin[0], columns)
            attended = decode_attention(cache, index, q, columns, self.scratch)
            normed = _added(
                hidden, linears[(own.o_proj,)].joined(attended), layer.post_attention_layernorm
            )
            features = gated(linears[gate_up(layer)].joined(normed))
            normed = _added(hidden, linears[(layer.mlp.down_proj,)].joined(features), following)
        return normed


def _added(hidden: torch.Tensor, delta: torch.Tensor | None, norm: Any) -> torch.Tensor:
    return add_norm(hidden, delta, norm.weight, norm.variance_epsilon)


def _reader(drawn: torch.Tensor) -> Any:
    """Copies tokens to the host behind the work that is launched; what it returns waits for them."""
    if drawn.device.type != "cuda":
        return drawn.tolist
    host = torch.empty(drawn.shape, dtype=drawn.dtype, pin_memory=True)
    host.copy_(drawn, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()

    def read() -> list[int]:
        copied.synchronize()
        return host.tolist()

    return read

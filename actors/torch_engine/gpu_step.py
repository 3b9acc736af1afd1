"""One decoding step on a GPU: from the tokens that are fed to those that are drawn, in one recording.

    embedding -> per layer: join, append, attention over splits, their join, gate -> logits -> draw

Each layer takes at most 12 launches. All that varies from step to step comes in one tensor of whole numbers,
a column per row. So a step's shape is its number of rows, which is rounded up to one of few buckets. The rows
beyond the batch hold nothing and write nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from actors.kernels.add_norm import add_norm
from actors.kernels.append import append
from actors.kernels.decode_attention import AttentionScratch, AttentionShape, decode_attention
from actors.kernels.draw import draw
from actors.kernels.gated import gated
from actors.kv_cache import step
from actors.kv_cache.cache import KVCache
from actors.kv_cache.slots import Slots
from actors.torch_engine.batch import Batch, Drawn
from actors.torch_engine.graphs import Graphs, bucket, buckets
from actors.torch_engine.model import Decoder, gate_up, qkv
from actors.torch_engine.sampling import NOTHING
from raysweep.spec import Sampling

# The rows of a step's tensor. Real numbers are there by their bits.
WHOLE = ("tokens", "sources", "positions", "slots", "query_slots", "native", "packed", "top_k")
REAL = ("draws", "temperature", "top_p", "min_p")
NO_SLOT = -1  # of a row that writes nothing


class GpuStep:
    """The step of an engine, with its recordings.

    graphs  None: steps are not recorded
    last    [rows], the tokens that the rows drew last
    """

    def __init__(self, decoder: Decoder, cache: KVCache, graphs: Graphs | None):
        self.decoder, self.cache, self.graphs = decoder, cache, graphs
        self.last = torch.zeros(cache.rows, dtype=torch.long, device=cache.device)
        self.scratch = AttentionScratch.of(_shape(cache), cache.device)

    def record(self) -> None:
        """Record the steps of all numbers of rows, so that none waits for its kernels to be compiled.

        The cache must be reserved, and its rows empty: a slot of theirs is written, and counts for nothing.
        """
        for rows in reversed(buckets(self.cache.rows)):  # so that smaller ones find room
            zeros, way = [0] * rows, Sampling(temperature=1.0)
            self(Batch(zeros, zeros, zeros, np.zeros(rows), [way] * rows), None).read()

    @torch.inference_mode()
    def __call__(self, batch: Batch, before: Drawn | None) -> Drawn:
        """The tokens that the rows draw. Those of the last step are in `last`."""
        count = len(batch.tokens)
        rows = bucket(count, self.cache.rows)
        columns = torch.from_numpy(self._columns(batch, rows))
        if self.cache.device.type == "cuda":
            columns = columns.pin_memory()
        inputs = (columns.to(self.cache.device, non_blocking=True), self.last)
        if self.scratch.shape != (shape := _shape(self.cache)):
            self.scratch = AttentionScratch.of(shape, self.cache.device)
        if self.graphs is None:
            drawn = self.forward(inputs)
        else:
            drawn = self.graphs.run(self._place, rows, inputs, self.forward)
        self.last[:rows] = drawn
        return Drawn(self.last, _reader(drawn[:count]))

    def _place(self) -> tuple[int, ...]:
        """The addresses that a recorded step reads and writes."""
        return (*self.cache.addresses, self.scratch.results.data_ptr())

    def _columns(self, batch: Batch, rows: int) -> np.ndarray:
        """[fields, rows], int64"""
        count, ways = len(batch.tokens), batch.samplings
        slots, native, packed = step.slots_of(self.cache, count)
        query_slots = step.query_slots_of(self.cache, count)
        whole = [batch.tokens, batch.sources, batch.positions, slots, query_slots, native, packed]
        real = [batch.draws, *([getattr(way, name) for way in ways] for name in REAL[1:])]
        columns = np.zeros((len(WHOLE) + len(REAL), rows), dtype=np.int64)
        columns[WHOLE.index("slots"), count:] = NO_SLOT
        columns[: len(WHOLE), :count] = [*whole, [way.top_k for way in ways]]
        columns[len(WHOLE) :, :count] = np.array(real, dtype=np.float64).view(np.int64)
        return columns

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """The tokens drawn, [rows], from the columns and the last step's tokens."""
        columns, last = inputs
        given, sources, positions = columns[:3]
        tokens = torch.where(given == NOTHING, last[sources], given).clamp(min=0)
        whole: dict[str, torch.Tensor] = dict(zip(WHOLE, columns.int(), strict=False))
        logits = self.decoder.head.joined(self._layers(tokens, positions, whole))
        real = columns[len(WHOLE) :].view(torch.float64)
        temperature, top_p, min_p = real[1:].float()
        return draw(logits, real[0], temperature, whole["top_k"], top_p, min_p)

    def _layers(
        self, tokens: torch.Tensor, positions: torch.Tensor, fields: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Normalised hidden states [rows, hidden] after the last layer."""
        body, linears = self.decoder.model.model, self.decoder.linears
        hidden = functional.embedding(tokens, body.embed_tokens.weight)
        rotation = [each[0] for each in body.rotary_emb(hidden, positions[None])]
        norms = [*(layer.input_layernorm for layer in body.layers), body.norm]
        normed = _added(hidden, None, norms[0])
        for index, layer in enumerate(body.layers):
            joined = linears[qkv(layer)].joined(normed)
            attended = self._attend(index, joined, layer.self_attn, rotation, fields)
            attended = linears[(layer.self_attn.o_proj,)].in_parts(attended)
            normed = _added(hidden, attended, layer.post_attention_layernorm)
            features = gated(linears[gate_up(layer)].joined(normed))
            features = linears[(layer.mlp.down_proj,)].in_parts(features)
            normed = _added(hidden, features, norms[index + 1])
        return normed

    def _attend(
        self,
        layer: int,
        joined: torch.Tensor,
        attention: Any,
        rotation: Sequence[torch.Tensor],
        fields: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Append the rows' tokens and attend: [rows, heads * head_dim]."""
        cache, slots = self.cache, fields["slots"]
        native = _lanes(cache.native, layer)
        packed = None if cache.packed is None else _lanes(cache.packed, layer)
        q_norm, k_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
        q = append(
            joined,
            None if q_norm is None else q_norm.weight,
            None if k_norm is None else k_norm.weight,
            0.0 if q_norm is None else q_norm.variance_epsilon,
            rotation[0],
            rotation[1],
            slots,
            fields["query_slots"],
            native["keys"],
            native["values"],
            cache.queries[layer],
            native.get("attention"),
        )
        lengths, packed_lengths = fields["native"], fields["packed"]
        return decode_attention(q, slots, native, lengths, self.scratch, packed, packed_lengths)


def _shape(cache: KVCache) -> AttentionShape:
    a, packed = cache.architecture, cache.packed
    return AttentionShape(
        rows=cache.rows,
        kv_heads=a.kv_heads,
        group=a.heads // a.kv_heads,
        head_dim=a.head_dim,
        native=cache.native.capacity,
        packed=0 if packed is None else packed.capacity,
        packing=cache.policy.packing,
        scores_attention=cache.policy.scores_attention,
    )


def _lanes(slots: Slots, layer: int) -> dict[str, torch.Tensor]:
    return {name: lane.tensor[layer] for name, lane in slots.lanes.items()}


def _added(hidden: torch.Tensor, delta: torch.Tensor | None, norm: Any) -> torch.Tensor:
    return add_norm(hidden, delta, norm.weight, norm.variance_epsilon)


def _reader(drawn: torch.Tensor) -> Callable[[], list[int]]:
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

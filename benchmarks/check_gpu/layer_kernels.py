"""Checks of the kernels around attention: norms, gates, products with packed weights, drawing."""

from functools import partial

import torch
from torch.nn import functional
from transformers.models.qwen3.modeling_qwen3 import apply_rotary_pos_emb

from actors.kernels.add_norm import add_norm
from actors.kernels.append import append
from actors.kernels.draw import draw
from actors.kernels.gated import gated
from actors.kernels.packed_product import PackedWeight, packed_product, product_in_parts
from actors.torch_engine.sampling import draw_tokens
from benchmarks.check_gpu.checked import (
    STORED,
    WIDTH,
    Checked,
    Off,
    Shapes,
    farthest,
    roundings,
    unequal,
)
from benchmarks.check_gpu.random_qwen3 import fill
from benchmarks.meta_engine import packed_layer
from raysweep.checkpoints.tensors import Linear
from raysweep.spec import Sampling, WeightSpec

EPS = 1e-6
NEAR = 1e-5  # of a boundary between two tokens, where sums in 32 bit may fall on either side
SPREAD = 4.0  # standard deviation of logits


def check_add_norm(s: Shapes, parts: int) -> Checked:
    """The delta is a product, or in several parts of 32 bit."""
    hidden, dtype = s.normal(s.rows, s.a.hidden_size), torch.float32 if parts > 1 else STORED
    delta = s.normal(parts, s.rows, s.a.hidden_size, dtype=dtype)
    weight = 1 + s.normal(s.a.hidden_size) / 8

    def off() -> Off:
        total = hidden.double() + delta.double().sum(0)
        normed = add_norm(hidden, delta, weight, EPS)
        x = hidden.double()
        exact = x * (x.square().mean(-1, keepdim=True) + EPS).rsqrt() * weight.double()
        return farthest(roundings(normed, exact, most=2), roundings(hidden, total))

    moved = 4 * hidden.nbytes + delta.nbytes
    return Checked(lambda: add_norm(hidden, delta, weight, EPS), off, moved)


def check_gated(s: Shapes) -> Checked:
    gate_up = 3 * s.normal(s.rows, 2 * s.a.intermediate_size)
    gate, up = gate_up.double().chunk(2, -1)
    run = partial(gated, gate_up)
    moved = 3 * s.rows * s.a.intermediate_size * WIDTH
    return Checked(run, lambda: roundings(run(), functional.silu(gate) * up), moved)


def check_append(s: Shapes) -> Checked:
    head_dim, kv_heads, observed = s.a.head_dim, s.a.kv_heads, 8
    qkv = s.normal(s.rows, (s.a.heads + 2 * kv_heads) * head_dim)
    q_norm, k_norm = (1 + s.normal(head_dim) / 8 for _ in range(2))
    angles = s.normal(s.rows, head_dim // 2, dtype=torch.float32).repeat(1, 2)
    cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()
    keys, values = (s.normal(s.rows, kv_heads, s.tokens, head_dim) for _ in range(2))
    queries = s.normal(s.rows, kv_heads, s.group, observed, head_dim)
    slot = s.tokens - 1
    run = partial(
        *(append, qkv, q_norm, k_norm, EPS, cos, sin, s.whole(slot), s.whole(3)),
        *(keys, values, queries),
    )

    def off() -> Off:
        heads = qkv.double().view(s.rows, -1, head_dim)
        q, k, v = heads.split([s.a.heads, kv_heads, kv_heads], 1)
        q, k = (
            each * (each.square().mean(-1, keepdim=True) + EPS).rsqrt() * weight.double()
            for each, weight in ((q, q_norm), (k, k_norm))
        )
        q, k = apply_rotary_pos_emb(q, k, cos.double(), sin.double())
        found = run()
        ring = queries[..., 3, :].flatten(1, 2)
        stored = (unequal(values[:, :, slot], v), unequal(ring, found))
        return farthest(roundings(found, q), roundings(keys[:, :, slot], k), *stored)

    numbers = s.a.heads + 2 * kv_heads
    read = numbers * head_dim * 2 + kv_heads * (head_dim * 2 * 2 + 4 + head_dim * 4 + 4)
    written = (numbers + s.a.heads) * head_dim * 2
    return Checked(run, off, s.rows * (read + written))


def check_packed_product(
    s: Shapes, bits: int, inputs: int, outputs: int, in_parts: bool = False
) -> Checked:
    """x counts once, as it stays in the GPU's cache."""
    weights = WeightSpec("gptq", bits, min(128, inputs))
    layer = fill(packed_layer(Linear("", inputs, outputs, False), weights), s.device)
    x, weight = (
        s.normal(s.rows, inputs),
        PackedWeight(bits, layer.qweight, layer.scales, None, None),
    )
    run = partial(product_in_parts if in_parts else packed_product, x, weight)

    def off() -> Off:
        found = run().double().sum(0) if in_parts else run()
        return roundings(found, x.double() @ layer.dequantized().to(x.dtype).double())

    moved = layer.qweight.nbytes + layer.scales.nbytes + x.nbytes + run().nbytes
    return Checked(run, off, moved)


def check_draw(s: Shapes, sampling: Sampling, passes: int) -> Checked:
    """passes: how often all logits are read; those over the likeliest tokens are left out"""
    logits = SPREAD * s.normal(s.rows, s.a.vocab_size)
    draws = torch.rand(s.rows, dtype=torch.float64, device=s.device)
    ones = torch.ones(s.rows, device=s.device)
    run = partial(
        *(draw, logits, draws, sampling.temperature * ones, s.whole(sampling.top_k)),
        *(sampling.top_p * ones, sampling.min_p * ones),
    )

    def off() -> Off:
        """Of equal logits any may be drawn."""
        rows = torch.arange(s.rows, device=s.device)
        near = [(draws + by).clamp(0, 1 - 2**-53).cpu().numpy() for by in (-NEAR, 0, NEAR)]
        twins = [logits[rows, draw_tokens(logits, each, sampling)] for each in near]
        alike = torch.stack([logits[rows, run()] == twin for twin in twins]).any(0)
        return unequal(alike, torch.ones_like(alike))

    return Checked(run, off, passes * logits.nbytes)


def checks(s: Shapes) -> dict[str, partial[Checked]]:
    """Each check by the name of its row."""
    hidden, inner = s.a.hidden_size, s.a.intermediate_size
    queries = s.a.heads * s.a.head_dim
    likely, plain = Sampling(0.6, top_p=0.95, top_k=20), Sampling(1.0)
    return {
        "add_norm": partial(check_add_norm, s, 1),
        "add_norm, of 3 parts": partial(check_add_norm, s, 3),
        "gated": partial(check_gated, s),
        "append": partial(check_append, s),
        **{
            f"packed_product, {bits} bits, to gate and up": partial(
                check_packed_product, s, bits, hidden, 2 * inner
            )
            for bits in (8, 4, 3)
        },
        "packed_product, 4 bits, in parts": partial(
            check_packed_product, s, 4, queries, hidden, in_parts=True
        ),
        "draw, greedily": partial(check_draw, s, Sampling(0), 2),
        "draw, from all tokens": partial(check_draw, s, plain, 3),
        "draw, by top-k and top-p": partial(check_draw, s, likely, 4),
    }

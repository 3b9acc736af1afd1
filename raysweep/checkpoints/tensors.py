"""The type and shape of every tensor of a checkpoint, from its architecture and precision alone.

The large linear layers are quantised, and embedding, head and norms stay in 16 bit. A linear layer with K
input and N output features and groups of g inputs has these tensors:

    bf16  weight [N, K]
    gptq  qweight [K * bits / 32, N], qzeros [K / g, N * bits / 32], scales [K / g, N], g_idx [K]
    awq   qweight [K, N * bits / 32], qzeros [K / g, N * bits / 32], scales [K / g, N]
    fp8   weight [N, K], weight_scale_inv [N / g, K / g]

These are the formats of gptqmodel (both of GPTQ's file formats), AutoAWQ (its `gemm` layout) and Qwen's FP8
files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from raysweep.spec import Architecture, WeightSpec

# Codes of few bits are packed into words of this size.
WORD_BITS = 32
TYPE_BYTES = {"BF16": 2, "F16": 2, "F32": 4, "I32": 4, "F8_E4M3": 1}
# F16 may take its place, as it has the same size.
NATIVE = "BF16"
HEAD = "lm_head.weight"
LAYER = "model.layers."


@dataclass(frozen=True)
class TensorSpec:
    """A tensor's type, as safetensors names it, and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return TYPE_BYTES[self.dtype] * prod(self.shape)


@dataclass(frozen=True)
class Linear:
    """One large linear layer with its numbers of input and output features."""

    name: str
    inputs: int
    outputs: int
    bias: bool


def linears(a: Architecture) -> tuple[Linear, ...]:
    """The large linear layers of one decoder layer."""
    q_size, kv_size = a.heads * a.head_dim, a.kv_heads * a.head_dim
    return (
        Linear("self_attn.q_proj", a.hidden_size, q_size, a.qkv_bias),
        Linear("self_attn.k_proj", a.hidden_size, kv_size, a.qkv_bias),
        Linear("self_attn.v_proj", a.hidden_size, kv_size, a.qkv_bias),
        Linear("self_attn.o_proj", q_size, a.hidden_size, a.o_bias),
        Linear("mlp.gate_proj", a.hidden_size, a.intermediate_size, False),
        Linear("mlp.up_proj", a.hidden_size, a.intermediate_size, False),
        Linear("mlp.down_proj", a.intermediate_size, a.hidden_size, False),
    )


def check_groups(a: Architecture, weights: WeightSpec) -> None:
    """Raise a ValueError that names the layer if the precision cannot pack a layer's features."""
    for linear in linears(a) if weights.bits < 16 else ():
        group = weights.group_size if weights.group_size > 0 else linear.inputs
        if weights.method != "fp8" and linear.inputs % group:
            raise ValueError(
                f"groups of {group} do not divide the {linear.inputs} inputs of {linear.name}"
            )
        packed = {"gptq": (linear.inputs, linear.outputs), "awq": (linear.outputs,)}
        for features in packed.get(weights.method, ()):
            if features * weights.bits % WORD_BITS:
                raise ValueError(
                    f"{features} codes of {weights.bits} bits in {linear.name} do not fill whole words "
                    f"of {WORD_BITS} bits"
                )


def layer_tensors(a: Architecture, weights: WeightSpec) -> dict[str, TensorSpec]:
    """The tensors of one decoder layer, with names relative to `model.layers.<number>.`"""
    tensors = {}
    for linear in linears(a):
        parts = dict(_linear_tensors(linear, weights))
        if linear.bias:
            parts["bias"] = TensorSpec(NATIVE, (linear.outputs,))
        tensors |= {f"{linear.name}.{part}": spec for part, spec in parts.items()}
    norms = {"input_layernorm": a.hidden_size, "post_attention_layernorm": a.hidden_size}
    if a.qk_norm:
        norms |= {"self_attn.q_norm": a.head_dim, "self_attn.k_norm": a.head_dim}
    return tensors | {f"{n}.weight": TensorSpec(NATIVE, (size,)) for n, size in norms.items()}


def outer_tensors(a: Architecture) -> dict[str, TensorSpec]:
    """The embedding, the last norm, and the head unless it is tied to the embedding."""
    table = TensorSpec(NATIVE, (a.vocab_size, a.hidden_size))
    tensors = {
        "model.embed_tokens.weight": table,
        "model.norm.weight": TensorSpec(NATIVE, (a.hidden_size,)),
    }
    return tensors if a.tied_embeddings else {**tensors, HEAD: table}


def all_tensors(a: Architecture, weights: WeightSpec) -> Iterator[tuple[str, TensorSpec]]:
    """Every tensor of the checkpoint by its full name, one after the other: there may be very many."""
    yield from outer_tensors(a).items()
    of_a_layer = layer_tensors(a, weights)
    for number in range(a.layers):
        for name, spec in of_a_layer.items():
            yield f"{LAYER}{number}.{name}", spec


def _linear_tensors(linear: Linear, weights: WeightSpec) -> Iterator[tuple[str, TensorSpec]]:
    inputs, outputs, bits = linear.inputs, linear.outputs, weights.bits
    group = weights.group_size if weights.group_size > 0 else inputs
    groups = -(-inputs // group)
    match weights.method:
        case "bf16":
            yield "weight", TensorSpec(NATIVE, (outputs, inputs))
        case "fp8":
            yield "weight", TensorSpec("F8_E4M3", (outputs, inputs))
            yield "weight_scale_inv", TensorSpec(NATIVE, (-(-outputs // group), groups))
        case "gptq" | "awq":
            words = outputs * bits // WORD_BITS
            by_row = (inputs * bits // WORD_BITS, outputs)
            yield (
                "qweight",
                TensorSpec("I32", by_row if weights.method == "gptq" else (inputs, words)),
            )
            yield "qzeros", TensorSpec("I32", (groups, words))
            yield "scales", TensorSpec("F16", (groups, outputs))
            if weights.method == "gptq":
                yield "g_idx", TensorSpec("I32", (inputs,))
        case _:
            raise ValueError(f"weights: no byte model for {weights.slug!r}")

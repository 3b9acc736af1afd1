"""A model in Qwen3's shape with random weights, made on the device where it is to run, without any file."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from actors.torch_engine.packed_linear import PackedLinear
from raysweep.checkpoints.tensors import Linear, linears
from raysweep.spec import Architecture, WeightSpec

DEVIATION = 0.02  # of all weights, as of a model that has not learnt
TOKENIZER = Path(__file__).parents[2] / "models" / "tiny-60k"  # of a shipped model


def config_of(a: Architecture) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=a.vocab_size,
        hidden_size=a.hidden_size,
        num_hidden_layers=a.layers,
        num_attention_heads=a.heads,
        num_key_value_heads=a.kv_heads,
        head_dim=a.head_dim,
        intermediate_size=a.intermediate_size,
        max_position_embeddings=a.context,
        tie_word_embeddings=a.tied_embeddings,
    )


def random_model(a: Architecture, weights: WeightSpec, device: torch.device) -> Any:
    """transformers' model in bf16, its large linear layers packed if `weights` are GPTQ's."""
    config = config_of(a)
    with torch.device("meta"):
        model: Any = Qwen3ForCausalLM(config).bfloat16()
    if weights.method == "gptq":
        for layer in model.model.layers:
            for linear in linears(a):
                packed = packed_layer(linear, weights.bits, weights.group_size, device)
                layer.set_submodule(linear.name, packed)
    for name, tensor in list(model.named_parameters()):
        made = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
        made = made.fill_(1) if "norm" in name else made.normal_(std=DEVIATION)
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, torch.nn.Parameter(made, requires_grad=False))
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    return model.eval()


def packed_layer(linear: Linear, bits: int, group: int, device: torch.device) -> PackedLinear:
    """A layer of random codes and scales, in AutoGPTQ's second format, with zero points in the middle."""
    inputs, outputs = linear.inputs, linear.outputs
    groups = inputs // group
    middle = torch.full((groups, outputs), 2 ** (bits - 1), dtype=torch.int64)
    scales = torch.rand(groups, outputs, device=device).add_(0.5).mul_(DEVIATION / 2 ** (bits - 1))
    words = torch.randint(
        -(2**31), 2**31, (inputs * bits // 32, outputs), dtype=torch.int32, device=device
    )
    tensors = {
        "qweight": words,
        "qzeros": _packed(middle, bits).to(device),
        "scales": scales.half(),
        "g_idx": torch.arange(inputs, dtype=torch.int32, device=device) // group,
    }
    return PackedLinear(tensors, bits, offset=0)


def _packed(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Codes [groups, outputs], equal in all groups, as words [groups, outputs * bits / 32]."""
    stream = codes[:1, :, None] >> torch.arange(bits) & 1
    words = stream.view(-1, 32) << torch.arange(32)
    return words.sum(1).to(torch.int32).expand(len(codes), -1).contiguous()


def write_folder(folder: Path, a: Architecture, weights: WeightSpec) -> None:
    """The model's configuration, and a tokenizer of fewer tokens, as an engine reads both; no weights."""
    for file in TOKENIZER.glob("*token*"):
        shutil.copy(file, folder)
    config = config_of(a).to_dict() | {"architectures": ["Qwen3ForCausalLM"], "dtype": "bfloat16"}
    if weights.method == "gptq":
        config["quantization_config"] = {
            "quant_method": "gptq",
            "bits": weights.bits,
            "group_size": weights.group_size,
            "desc_act": False,
            "sym": True,
        }
    config["eos_token_id"] = 2
    (folder / "config.json").write_text(json.dumps(config, indent=1))

"""A model in Qwen3's shape with random weights, made on the device where it is to run, without any file."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from actors.torch_engine.packed_linear import PackedLinear
from benchmarks.meta_engine import a_model
from raysweep.spec import Architecture, WeightSpec

DEVIATION = 0.02  # of all weights, as of a model that has not learnt
TOKENIZER = Path(__file__).parents[2] / "models" / "tiny-60k"  # of a shipped model


def random_model(a: Architecture, weights: WeightSpec, device: torch.device) -> Any:
    """transformers' model in bf16, its large linear layers packed if `weights` are GPTQ's."""
    model = a_model(a, weights)
    for module in model.modules():
        if isinstance(module, PackedLinear):
            fill(module, device)
    for name, parameter in list(model.named_parameters()):
        made = torch.empty(parameter.shape, dtype=parameter.dtype, device=device)
        made = made.fill_(1) if "norm" in name else made.normal_(std=DEVIATION)
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, torch.nn.Parameter(made, requires_grad=False))
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config).to(device)
    return model.eval()


def fill(layer: PackedLinear, device: torch.device) -> PackedLinear:
    """Random codes and scales for a layer that has none."""
    words, scales = layer.qweight, layer.scales
    largest = DEVIATION / 2 ** (layer.bits - 1)
    layer.scales = torch.rand(scales.shape, device=device).add_(0.5).mul_(largest).half()
    layer.qweight = torch.randint(-(2**31), 2**31, words.shape, dtype=torch.int32, device=device)
    layer.qzeros, layer.g_idx = layer.qzeros.to(device), layer.g_idx.to(device)
    return layer


def write_folder(folder: Path, a: Architecture, weights: WeightSpec) -> None:
    """The model's configuration, and a tokenizer of fewer tokens, as an engine reads both; no weights."""
    for file in TOKENIZER.glob("*token*"):
        shutil.copy(file, folder)
    config = a_model(a, weights).config.to_dict()
    config |= {"architectures": ["Qwen3ForCausalLM"], "dtype": "bfloat16", "eos_token_id": 2}
    if weights.method == "gptq":
        config["quantization_config"] = {
            "quant_method": "gptq",
            "bits": weights.bits,
            "group_size": weights.group_size,
            "desc_act": weights.act_order,
            "sym": weights.symmetric,
        }
    (folder / "config.json").write_text(json.dumps(config, indent=1))

"""A model from its folder, with the folder's weights: in 16 bit, or packed by GPTQ.

Quantised layers stay packed, as `PackedLinear`s. The folder's tensors are all that is read, so neither
gptqmodel, optimum nor accelerate is needed on any device.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from actors.torch_engine.packed_linear import PackedLinear
from raysweep.checkpoints.tensors import HEAD
from raysweep.configuration.architecture import read_precision, zero_offset


def load_model(path: str, storage: torch.dtype, device: torch.device) -> nn.Module:
    """The causal language model in the folder, on `device`; tensors that are not quantised are `storage`.

    Raises ValueError for a precision for which this engine has no layers.
    """
    weights = read_precision(Path(path))
    if weights.method not in ("bf16", "gptq"):
        raise ValueError(
            f"the torch engine has no {weights.method} layers, which {path} needs; use vLLM"
        )
    return load_folder(Path(path), weights.bits, storage).to(device).eval()


def load_folder(folder: Path, bits: int, storage: torch.dtype) -> nn.Module:
    """A model whose quantised layers keep their codes, made from the folder's tensors alone."""
    config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=storage)
    tensors = {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}
    for name in [key.removesuffix(".qweight") for key in tensors if key.endswith(".qweight")]:
        parts = [key for key in tensors if key.startswith(f"{name}.")]
        packed = {key.removeprefix(f"{name}."): tensors.pop(key) for key in parts}
        model.set_submodule(name, PackedLinear(packed, bits, zero_offset(folder)))
    if config.tie_word_embeddings:
        tensors.pop(HEAD, None)  # some files have a copy of it
    native = {name: tensor.to(storage) for name, tensor in tensors.items()}
    model.load_state_dict(native, strict=False, assign=True)
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(
        config
    )  # computed, as it is not in the files
    if absent := [name for name, tensor in model.state_dict().items() if tensor.is_meta]:
        raise ValueError(f"{folder} has no tensor {absent[0]}")
    return model

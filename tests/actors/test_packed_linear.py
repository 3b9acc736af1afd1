"""GPTQ's packed layers, against bits read one by one and against transformers with gptqmodel's kernels."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny_models

from actors.torch_engine.packed_linear import PackedLinear, unpack
from actors.torch_engine.weights import load_model

CPU = torch.device("cpu")
QUANTIZED = tiny_models.MODELS / "quantized"


def packed(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Codes [k, n] as words [k * bits / 32, n]: the obvious twin, in Python's integers."""
    columns = []
    for column in codes.T.tolist():
        stream = sum(code << (bits * index) for index, code in enumerate(column))
        words = [(stream >> shift) & 0xFFFFFFFF for shift in range(0, len(column) * bits, 32)]
        columns.append([word - 2**32 if word >= 2**31 else word for word in words])
    return torch.tensor(columns, dtype=torch.int32).T.contiguous()


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([2, 3, 4, 8]), st.integers(1, 3), st.integers(1, 4), st.integers(0, 10**6))
def test_codes_are_a_stream_of_bits_along_the_inputs(bits, blocks, outputs, seed):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(2**bits, (32 * blocks, outputs), generator=generator, dtype=torch.int32)
    assert torch.equal(unpack(packed(codes, bits), bits), codes)


@pytest.mark.parametrize("bits", [3, 4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("in_turn", [True, False])
@pytest.mark.parametrize("offset", [0, 1])
def test_a_weight_is_its_code_less_the_zero_point_times_the_scale(bits, symmetric, in_turn, offset):
    inputs, outputs, groups = 64, 32, 4
    generator = torch.Generator().manual_seed(bits)
    codes = torch.randint(2**bits, (inputs, outputs), generator=generator, dtype=torch.int32)
    zeros = torch.full((groups, outputs), 2 ** (bits - 1), dtype=torch.int32)
    if not symmetric:
        zeros = torch.randint(1, 2**bits, zeros.shape, generator=generator, dtype=torch.int32)
    scales = torch.rand(groups, outputs, generator=generator).half()
    g_idx = torch.arange(inputs, dtype=torch.int32) // (inputs // groups)
    if not in_turn:
        g_idx = g_idx[torch.randperm(inputs, generator=generator)]
    tensors = {
        "qweight": packed(codes, bits),
        "qzeros": packed((zeros - offset).T, bits).T.contiguous(),
        "scales": scales,
        "g_idx": g_idx,
        "bias": torch.randn(outputs, generator=generator),
    }
    layer = PackedLinear(tensors, bits, offset)
    group = g_idx.long()
    truth = ((codes - zeros[group]).double() * scales[group].double()).half()
    assert torch.equal(layer.dequantized(), truth)
    x = torch.randn(3, inputs, generator=generator)
    assert torch.allclose(layer(x), x @ truth.float() + tensors["bias"], atol=1e-5)


def logits_of_transformers(folder: Path, bits: int, ids: torch.Tensor) -> torch.Tensor:
    """By gptqmodel's plain kernel: its default one for 4 bits on CPUs rounds activations to bf16."""
    from transformers import AutoModelForCausalLM, GPTQConfig

    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, quantization_config=GPTQConfig(bits=bits, backend="torch")
    )
    with torch.inference_mode():
        return model(input_ids=ids).logits


def our_logits(folder: Path, ids: torch.Tensor) -> torch.Tensor:
    model: Any = load_model(str(folder), torch.float32, CPU)
    with torch.inference_mode():
        return model(input_ids=ids).logits


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of what gptqmodel and torch have to say to each other
@pytest.mark.parametrize("bits", [8, 4, 3])
def test_logits_are_those_of_transformers_that_loads_the_same_folder(bits):
    folder = QUANTIZED / f"{tiny_models.smallest()}-gptq{bits}-g32"
    ids = torch.randint(3, 100, (2, 40), generator=torch.Generator().manual_seed(0))
    ours, theirs = our_logits(folder, ids), logits_of_transformers(folder, bits, ids)
    assert torch.allclose(ours, theirs, atol=1e-5, rtol=0)
    assert ours.std() > 1


def test_folders_in_autogptqs_format_load_alike(tmp_path: Path):
    """Its settings are in quantize_config.json, which names no method, and config.json knows nothing."""
    source = QUANTIZED / f"{tiny_models.smallest()}-gptq4-g32"
    folder = tmp_path / "autogptq"
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
    settings = {
        "bits": 4,
        "group_size": 32,
        "desc_act": False,
        "sym": True,
        "true_sequential": True,
    }
    (folder / "quantize_config.json").write_text(json.dumps(settings))
    ids = torch.arange(3, 60)[None]
    assert torch.equal(our_logits(folder, ids), our_logits(source, ids))


def test_zero_points_of_the_second_format_are_stored_as_they_are(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    source = QUANTIZED / f"{tiny_models.smallest()}-gptq4-g32"
    folder = tmp_path / "v2"
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"]["checkpoint_format"] = "gptq_v2"
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    one_more = int("0x11111111", 16)
    moved = {k: v + one_more if k.endswith("qzeros") else v for k, v in tensors.items()}
    save_file(moved, folder / "model.safetensors")
    ids = torch.arange(3, 60)[None]
    assert torch.equal(our_logits(folder, ids), our_logits(source, ids))


def test_a_method_without_layers_here_is_refused(tmp_path: Path):
    settings = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": settings}))
    with pytest.raises(ValueError, match="has no fp8 layers"):
        load_model(str(tmp_path), torch.bfloat16, CPU)


def test_a_quantised_folder_loads_without_the_libraries_that_transformers_would_need():
    """On any device: here on the meta device, in a process in which the three cannot be imported."""
    folder = QUANTIZED / f"{tiny_models.smallest()}-gptq4-g32"
    code = f"""
import sys
sys.modules.update(dict.fromkeys(("gptqmodel", "optimum", "accelerate")))
import torch
from actors.torch_engine.weights import load_model
model = load_model({str(folder)!r}, torch.bfloat16, torch.device("meta"))
layer = model.model.layers[0].mlp.up_proj
assert type(layer).__name__ == "PackedLinear" and layer.qweight.is_meta
"""
    subprocess.run([sys.executable, "-c", code], check=True)

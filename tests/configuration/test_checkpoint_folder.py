"""Checkpoint folders: what they hold, and which damage is found without loading them."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file
from support.configurations import tensors_of, write_checkpoint

from raysweep.configuration import architecture, checkpoint_folder
from raysweep.errors import ConfigError
from raysweep.spec import BF16, WeightSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model")


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        checkpoint_folder.inspect(folder, "field")
    return str(raised.value)


def test_the_architecture_is_read_from_config_json(folder: Path):
    architecture = checkpoint_folder.inspect(folder, "field").architecture
    assert (architecture.hidden_size, architecture.layers, architecture.kv_heads) == (32, 3, 1)
    assert (architecture.heads, architecture.head_dim, architecture.context) == (2, 32, 2048)
    assert architecture.tied_embeddings
    assert architecture.qk_norm
    assert not architecture.qkv_bias


def test_a_head_size_that_is_not_given_is_the_hidden_size_split_over_the_heads(folder: Path):
    change_config(folder, head_dim=None)
    (folder / "model.safetensors").unlink()
    save_file(tensors_of(folder), folder / "model.safetensors")
    assert checkpoint_folder.inspect(folder, "field").architecture.head_dim == 16


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path):
    assert "is not a folder" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_folder_without_config_or_tokenizer_is_refused(folder: Path, name: str):
    (folder / name).unlink()
    assert f"'{folder}' has no {name}; give a checkpoint's folder" in refusal(folder)


def test_a_folder_without_weights_is_refused(folder: Path):
    (folder / "model.safetensors").unlink()
    assert "has no weights; add its *.safetensors files" in refusal(folder)


def test_pickled_weights_are_refused(folder: Path):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "convert them to safetensors with save_pretrained" in refusal(folder)


@pytest.mark.parametrize("kept_bytes", [0, 4, 20, -1])
def test_a_cut_off_download_is_refused(folder: Path, kept_bytes: int):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept_bytes])
    assert "is not a whole safetensors file" in refusal(folder)


def test_a_pointer_file_in_place_of_the_weights_is_refused(folder: Path):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "is not a whole safetensors file" in refusal(folder)


def test_a_header_of_brackets_without_end_is_refused(folder: Path):
    brackets = b"[" * 200_000
    (folder / "model.safetensors").write_bytes(len(brackets).to_bytes(8, "little") + brackets)
    assert "is not a whole safetensors file" in refusal(folder)


def test_a_config_of_brackets_without_end_is_refused(folder: Path):
    (folder / "config.json").write_bytes(b"[" * 200_000)
    assert "config.json: is not JSON (it is nested too deeply" in refusal(folder)


def test_a_config_of_a_billion_layers_is_refused(folder: Path):
    change_config(folder, num_hidden_layers=10**9)
    assert "num_hidden_layers: 1000000000 is out of range; write 1 to 10,000" in refusal(folder)


def test_the_first_missing_tensor_of_very_many_is_found_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(architecture, "MOST_LAYERS", 10**9)
    change_config(folder, num_hidden_layers=10**9)
    assert "lacks the tensor model.layers.3." in refusal(folder)


def test_a_part_that_the_index_names_must_be_there(folder: Path):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "lacks model-2.safetensors; complete the download" in refusal(folder)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model_type", "gpt2", "model_type: 'gpt2' is not a known architecture; known: llama"),
        ("model_type", None, "model_type: None is not a known architecture"),
        ("num_hidden_layers", "3", "num_hidden_layers: '3' is not a whole number"),
        ("tie_word_embeddings", 1, "tie_word_embeddings: 1 is neither true nor false"),
        ("mlp_bias", True, "mlp_bias: feed-forward biases are not supported"),
    ],
)
def test_a_config_that_is_not_understood_is_refused(
    folder: Path, key: str, value: object, words: str
):
    change_config(folder, **{key: value})
    assert f"config.json: {words}" in refusal(folder)


def change_config(folder: Path, **changes: object) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))


def test_a_config_that_is_not_json_is_refused(folder: Path):
    (folder / "config.json").write_text("{")
    assert "config.json: is not JSON" in refusal(folder)


def test_the_revision_follows_what_decides_the_model_and_nothing_else(folder: Path, tmp_path: Path):
    first = checkpoint_folder.fingerprint(folder)
    (folder / "README.md").write_text("a model card")
    (folder / "training.json").write_text('{"steps": 9}')
    assert checkpoint_folder.fingerprint(folder) == first
    assert checkpoint_folder.fingerprint(folder.rename(tmp_path / "moved")) == first
    write_checkpoint(tmp_path / "moved", num_hidden_layers=4)
    assert checkpoint_folder.fingerprint(tmp_path / "moved") != first


def test_of_a_large_file_the_ends_decide(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpoint_folder, "WHOLE_BYTES", 16)
    monkeypatch.setattr(checkpoint_folder, "END_BYTES", 8)
    first = checkpoint_folder.fingerprint(folder)
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert checkpoint_folder.fingerprint(folder) != first


# Tensors against config.json


def test_a_tensor_that_config_json_speaks_of_must_be_there(folder: Path):
    change_config(folder, num_hidden_layers=4)
    assert "lacks the tensor model.layers.3.self_attn.q_proj.weight" in refusal(folder)


def test_a_tensor_of_another_shape_is_refused(folder: Path):
    change_config(folder, intermediate_size=64)
    words = "model.layers.0.mlp.gate_proj.weight is F16 [96, 32], but its config.json requires BF16 [64, 32]"
    assert words in refusal(folder)


def test_a_tensor_that_config_json_does_not_know_is_refused(folder: Path):
    change_config(folder, num_hidden_layers=2)
    assert "has a tensor model.layers.2." in refusal(folder)


def test_a_copy_of_the_tied_head_is_let_pass(folder: Path):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"]}, file)
    assert checkpoint_folder.inspect(folder, "field").architecture.tied_embeddings


# Quantised checkpoints, in every place where tools have written what they are

GPTQ4 = WeightSpec("gptq", 4, 32)
PRECISIONS = [
    (GPTQ4, {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": True}),
    (
        WeightSpec("gptq", 8, 32, symmetric=False, act_order=True),
        {
            **{"quant_method": "gptq", "bits": 8, "group_size": 32, "desc_act": True, "sym": False},
            "checkpoint_format": "gptq_v2",
        },
    ),
    (
        WeightSpec("awq", 4, 32, symmetric=False),
        {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"},
    ),
    (
        WeightSpec("fp8", 8, 128),
        {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]},
    ),
]


def quantised(folder: Path, weights: WeightSpec) -> None:
    """The folder's tensors at another precision. numpy does not have their FP8 type."""
    tensors = tensors_of(folder, weights)
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors")
    if weights.method == "fp8":
        raw = (folder / "model.safetensors").read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header = raw[8 : 8 + length].replace(b'"U8"', b'"F8_E4M3"')
        new_length = len(header).to_bytes(8, "little")
        (folder / "model.safetensors").write_bytes(new_length + header + raw[8 + length :])


@pytest.mark.parametrize(("weights", "settings"), PRECISIONS, ids=lambda value: str(value)[:20])
def test_the_precision_is_read_from_quantization_config(folder: Path, weights, settings):
    change_config(folder, quantization_config=settings)
    quantised(folder, weights)
    assert checkpoint_folder.inspect(folder, "field").weights == weights


@pytest.mark.parametrize(
    ("name", "settings", "weights"),
    [
        ("quantize_config.json", {"bits": 4, "group_size": 32, "desc_act": False}, GPTQ4),
        (
            "quant_config.json",
            {"w_bit": 4, "q_group_size": 32, "zero_point": True, "version": "GEMM"},
            WeightSpec("awq", 4, 32, symmetric=False),
        ),
    ],
)
def test_the_precision_is_read_from_the_files_of_older_tools(
    folder: Path, name: str, settings: dict, weights: WeightSpec
):
    (folder / name).write_text(json.dumps(settings))
    quantised(folder, weights)
    assert checkpoint_folder.inspect(folder, "field").weights == weights


def test_a_checkpoint_that_says_nothing_has_16_bit(folder: Path):
    assert checkpoint_folder.inspect(folder, "field").weights == BF16


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"quant_method": "bitsandbytes"}, "quant_method: 'bitsandbytes' is not a known method"),
        ({"quant_method": "fp8"}, "weight_block_size: None is not [n, n]"),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 32, "checkpoint_format": "marlin"},
            "checkpoint_format: 'marlin' is not a known format",
        ),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32, "lm_head": True}, "lm_head"),
        ({"quant_method": "gptq", "bits": 4}, "group_size: missing"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "groups of 128 do not divide"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, "lacks the tensor"),
    ],
)
def test_a_precision_that_is_not_understood_or_not_there_is_refused(
    folder: Path, settings: dict, words: str
):
    change_config(folder, quantization_config=settings)
    assert words in refusal(folder)

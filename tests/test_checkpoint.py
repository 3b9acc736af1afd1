"""Checkpoint folders, looked at from outside."""

import json
from pathlib import Path

import pytest
from configurations import write_checkpoint

from raysweep.configuration import checkpoint
from raysweep.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model")


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        checkpoint.inspect(folder, "field")
    return str(raised.value)


def test_the_architecture_is_read_from_config_json(folder: Path):
    architecture = checkpoint.inspect(folder, "field").architecture
    assert (architecture.hidden_size, architecture.layers, architecture.kv_heads) == (32, 3, 1)
    assert (architecture.heads, architecture.head_dim, architecture.context) == (2, 32, 2048)
    assert architecture.tied_embeddings
    assert architecture.qk_norm
    assert not architecture.qkv_bias


def test_a_head_size_that_is_not_given_is_the_hidden_size_split_over_the_heads(folder: Path):
    values = json.loads((folder / "config.json").read_text())
    del values["head_dim"]
    (folder / "config.json").write_text(json.dumps(values))
    assert checkpoint.inspect(folder, "field").architecture.head_dim == 16


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
    assert "safetensors only" in refusal(folder)


@pytest.mark.parametrize("kept_bytes", [0, 4, 20, -1])
def test_a_cut_off_download_is_refused(folder: Path, kept_bytes: int):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept_bytes])
    assert "is not a whole safetensors file" in refusal(folder)


def test_a_pointer_file_in_place_of_the_weights_is_refused(folder: Path):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "is not a whole safetensors file" in refusal(folder)


def test_a_part_that_the_index_names_must_be_there(folder: Path):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "lacks model-2.safetensors; complete the download" in refusal(folder)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model_type", "llama", "model_type: 'llama' is not a known architecture; known: qwen2"),
        ("model_type", None, "model_type: None is not a known architecture"),
        ("num_hidden_layers", "3", "num_hidden_layers: '3' is not a whole number"),
        ("tie_word_embeddings", 1, "tie_word_embeddings: 1 is neither true nor false"),
    ],
)
def test_a_config_that_is_not_understood_is_refused(
    folder: Path, key: str, value: object, words: str
):
    write_checkpoint(folder, **{key: value})
    assert f"config.json: {words}" in refusal(folder)


def test_a_config_that_is_not_json_is_refused(folder: Path):
    (folder / "config.json").write_text("{")
    assert "config.json: not JSON" in refusal(folder)


def test_the_revision_follows_what_decides_the_model_and_nothing_else(folder: Path, tmp_path: Path):
    first = checkpoint.fingerprint(folder)
    (folder / "README.md").write_text("a model card")
    (folder / "training.json").write_text('{"steps": 9}')
    assert checkpoint.fingerprint(folder) == first
    assert checkpoint.fingerprint(folder.rename(tmp_path / "moved")) == first
    write_checkpoint(tmp_path / "moved", num_hidden_layers=4)
    assert checkpoint.fingerprint(tmp_path / "moved") != first


def test_of_a_large_file_the_ends_decide(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpoint, "WHOLE_BYTES", 16)
    monkeypatch.setattr(checkpoint, "END_BYTES", 8)
    first = checkpoint.fingerprint(folder)
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert checkpoint.fingerprint(folder) != first

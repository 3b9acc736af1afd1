"""A Hugging Face checkpoint folder, looked at from outside: its architecture, its revision, its health.

Only `config.json` and the headers of the safetensors files are read, so no tensor library is needed
and a cut-off download or a pointer file left by git-lfs is noticed before Ray starts. The revision of
a folder is a fingerprint of all files that decide what the model computes.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.configuration.fields import Fields
from raysweep.errors import ConfigError, unknown
from raysweep.spec import Architecture

DECISIVE_SUFFIXES = {".json", ".safetensors", ".jinja", ".txt", ".model"}
IDLE_FILES = {"training.json"}  # tells how a model was made
PICKLED_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt"}
WHOLE_BYTES = 256 * 2**20  # larger files are fingerprinted by their two ends
END_BYTES = 16 * 2**20

QK_NORM = {"qwen3": True, "qwen2": False}  # by model_type, with the default of attention_bias:
QKV_BIAS = {"qwen3": False, "qwen2": True}


@dataclass(frozen=True)
class Checkpoint:
    architecture: Architecture
    revision: str


def inspect(folder: Path, field: str) -> Checkpoint:
    """Read what is known about the checkpoint in `folder`, which `field` of the input names."""
    if not folder.is_dir():
        raise ConfigError(
            f"{field}: '{folder}' is not a folder; give that of a Hugging Face checkpoint"
        )
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ConfigError(
                f"{field}: '{folder}' has no {name}; give a checkpoint's folder, all files of it"
            )
    try:
        for part in weight_files(folder, field):
            check_whole(part, field)
        return Checkpoint(read_architecture(folder / "config.json"), fingerprint(folder))
    except OSError as error:
        raise ConfigError(f"{field}: '{error.filename}' can't be read: {error.strerror}") from error


def weight_files(folder: Path, field: str) -> list[Path]:
    """The safetensors files, all of those that the index names among them."""
    files = sorted(folder.glob("*.safetensors"))
    pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLED_SUFFIXES)
    if not files and pickled:
        raise ConfigError(
            f"{field}: '{folder}' has pickled weights ({pickled[0]}), which may run code when loaded; "
            "safetensors only: convert them with save_pretrained"
        )
    if not files:
        raise ConfigError(f"{field}: '{folder}' has no weights; add its *.safetensors files")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = Fields(f"{index}: ", read_json(index))
        for name in named.below("weight_map").values.values():
            if folder / str(name) not in files:
                raise ConfigError(f"{field}: '{folder}' lacks {name}; complete the download")
    return files


def check_whole(file: Path, field: str) -> None:
    """Raise unless the safetensors file is as long as its header says."""
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            header_bytes = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(header_bytes, size)))
        ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
        expected = 8 + header_bytes + max(ends)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        expected = None
    if size != expected:
        raise ConfigError(
            f"{field}: '{file}' is not a whole safetensors file ({size} bytes); fetch it again"
        )


def read_architecture(file: Path) -> Architecture:
    """The numbers of the decoder that config.json describes."""
    fields = Fields(f"{file}: ", {"tie_word_embeddings": False, **read_json(file)})
    model_type = fields.values.get("model_type")
    if not isinstance(model_type, str) or model_type not in QK_NORM:
        raise unknown(fields.at("model_type"), model_type, "architecture", QK_NORM)
    hidden_size, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    defaults = {"head_dim": hidden_size // heads, "attention_bias": QKV_BIAS[model_type]}
    fields = Fields(fields.prefix, {**defaults, **fields.values})
    return Architecture(
        hidden_size=hidden_size,
        layers=fields.integer("num_hidden_layers"),
        heads=heads,
        kv_heads=fields.integer("num_key_value_heads"),
        head_dim=fields.integer("head_dim"),
        intermediate_size=fields.integer("intermediate_size"),
        vocab_size=fields.integer("vocab_size"),
        tied_embeddings=fields.flag("tie_word_embeddings"),
        context=fields.integer("max_position_embeddings"),
        qk_norm=QK_NORM[model_type],
        qkv_bias=fields.flag("attention_bias"),
    )


def read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{file}: not JSON ({error}); fetch the file again") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: not a JSON object; fetch the file again")
    return content


def fingerprint(folder: Path) -> str:
    """16 hex digits for names, sizes and contents of the files that decide what the model computes."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(folder.iterdir()):
        decides = file.suffix in DECISIVE_SUFFIXES and file.name not in IDLE_FILES
        if decides and file.is_file():
            size = file.stat().st_size
            digest.update(f"{file.name}\0{size}\0".encode())
            with file.open("rb") as stream:
                if size <= WHOLE_BYTES:
                    digest.update(stream.read())
                else:
                    digest.update(stream.read(END_BYTES))
                    stream.seek(-END_BYTES, 2)
                    digest.update(stream.read())
    return digest.hexdigest()

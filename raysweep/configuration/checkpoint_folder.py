"""A Hugging Face checkpoint folder, looked at from outside: what it holds, its revision, its health.

Only `config.json` and the headers of the safetensors files are read, so no tensor library is needed
and a cut-off download, a pointer file left by git-lfs or tensors that are not those of config.json are
noticed before Ray starts. The revision of a folder is a fingerprint of all files that decide what the
model computes.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.checkpoints import tensors
from raysweep.configuration.architecture import read_architecture, read_json, read_precision
from raysweep.configuration.fields import Fields
from raysweep.errors import ConfigError
from raysweep.spec import Architecture, WeightSpec

DECISIVE_SUFFIXES = {".json", ".safetensors", ".jinja", ".txt", ".model"}
IDLE_FILES = {"training.json"}  # tells how a model was made
PICKLED_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt"}
WHOLE_BYTES = 256 * 2**20  # larger files are fingerprinted by their two ends
END_BYTES = 16 * 2**20

ALIKE = {"BF16": {"BF16", "F16", "F32"}, "F16": {"F16", "BF16"}}  # types that stand for each other
# Tensors that need not be there: a tied head's second copy, and what is computed at loading.
SUPERFLUOUS = (tensors.HEAD, "rotary_emb.inv_freq")


@dataclass(frozen=True)
class Contents:
    """What a checkpoint folder holds."""

    architecture: Architecture
    weights: WeightSpec
    revision: str


def inspect(folder: Path, field: str) -> Contents:
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
        files = weight_files(folder, field)
        headers = [read_header(file, field) for file in files]
        architecture, weights = read_architecture(folder / "config.json"), read_precision(folder)
        check_tensors(headers, architecture, weights, f"{field}: '{folder}'")
        return Contents(architecture, weights, fingerprint(folder))
    except OSError as error:
        raise ConfigError(
            f"{field}: '{error.filename}' can't be read: {error.strerror}; fetch it again, or change its "
            "permissions"
        ) from error


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


def read_header(file: Path, field: str) -> dict[str, Any]:
    """The safetensors file's tensors by name; raises unless it is as long as its header says."""
    size = file.stat().st_size
    header: dict[str, Any] = {}
    try:
        with file.open("rb") as stream:
            header_bytes = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(header_bytes, size)))
        header.pop("__metadata__", None)
        expected = 8 + header_bytes + max(t["data_offsets"][1] for t in header.values())
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        expected = None
    if size != expected:
        raise ConfigError(
            f"{field}: '{file}' is not a whole safetensors file ({size} bytes); fetch it again"
        )
    return header


def check_tensors(
    headers: Iterable[dict[str, Any]], architecture: Architecture, weights: WeightSpec, place: str
) -> None:
    """Raise unless the files hold just the tensors that config.json speaks of."""
    found = {name: tensor for header in headers for name, tensor in header.items()}
    try:
        tensors.check_groups(architecture, weights)
        expected = tensors.all_tensors(architecture, weights)
    except ValueError as error:
        raise ConfigError(
            f"{place} cannot be what its config.json says: {error}; fetch files that belong together"
        ) from error
    for name, tensor in expected.items():
        if name not in found:
            raise ConfigError(
                f"{place} has no tensor {name}, of which its config.json speaks; fetch all of its files"
            )
        shape, dtype = found[name].get("shape"), found[name].get("dtype")
        if shape != list(tensor.shape) or dtype not in ALIKE.get(tensor.dtype, {tensor.dtype}):
            raise ConfigError(
                f"{place}: {name} is {dtype} {shape}, but by its config.json {tensor.dtype} "
                f"{list(tensor.shape)}; fetch files that belong together"
            )
    others = (name for name in found if name not in expected and not name.endswith(SUPERFLUOUS))
    if unwanted := next(others, None):
        raise ConfigError(
            f"{place} has a tensor {unwanted}, of which its config.json does not speak; fetch files that "
            "belong together"
        )


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

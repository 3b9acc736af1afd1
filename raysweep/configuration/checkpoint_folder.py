"""Inspects a Hugging Face checkpoint folder: what it holds, its revision, and whether it is whole.

Only `config.json` and the headers of the safetensors files are read, so no tensor library is needed. This
finds a truncated download, a git-lfs pointer file, or tensors that contradict config.json before Ray starts.
The revision of a folder is a fingerprint of all files that decide what the model computes.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.checkpoints import tensors
from raysweep.configuration.architecture import read_architecture, read_json, read_precision
from raysweep.configuration.fields import Fields
from raysweep.errors import ConfigError
from raysweep.spec import Architecture, WeightSpec
from raysweep.system.json_text import parsed_json

DECISIVE_SUFFIXES = {".json", ".safetensors", ".jinja", ".txt", ".model"}
# These files describe how a model was made and do not change what it computes.
IDLE_FILES = {"training.json"}
PICKLED_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt"}
# Larger files are fingerprinted by their first and last END_BYTES.
WHOLE_BYTES = 256 * 2**20
END_BYTES = 16 * 2**20

# Types that are accepted in place of the expected one.
ALIKE = {"BF16": {"BF16", "F16", "F32"}, "F16": {"F16", "BF16"}}
# Optional tensors: a tied head's second copy, and frequencies that are computed on loading.
SUPERFLUOUS = (tensors.HEAD, "rotary_emb.inv_freq")


@dataclass(frozen=True)
class Contents:
    """What a checkpoint folder holds."""

    architecture: Architecture
    weights: WeightSpec
    revision: str


def inspect(folder: Path, field: str) -> Contents:
    """What the checkpoint in `folder` holds. Messages name `field`, where the input gives the folder."""
    architecture, weights = look_into(folder, field)
    try:
        return Contents(architecture, weights, fingerprint(folder))
    except OSError as error:
        raise unreadable(error, field) from error


def look_into(folder: Path, field: str) -> tuple[Architecture, WeightSpec]:
    """The architecture and the precision of a whole checkpoint, from config.json and the headers alone."""
    if not folder.is_dir():
        raise ConfigError(
            f"{field}: '{folder}' is not a folder; give the folder of a Hugging Face checkpoint"
        )
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ConfigError(
                f"{field}: '{folder}' has no {name}; give a checkpoint's folder with all of its files"
            )
    try:
        files = weight_files(folder, field)
        headers = [read_header(file, field) for file in files]
        architecture, weights = read_architecture(folder / "config.json"), read_precision(folder)
        check_tensors(headers, architecture, weights, f"{field}: '{folder}'")
        return architecture, weights
    except OSError as error:
        raise unreadable(error, field) from error


def unreadable(error: OSError, field: str) -> ConfigError:
    return ConfigError(
        f"{field}: '{error.filename}' cannot be read ({error.strerror}); fetch it again, or change its "
        "permissions"
    )


def weight_files(folder: Path, field: str) -> list[Path]:
    """The safetensors files. Raises ConfigError if one that the index names is missing."""
    files = sorted(folder.glob("*.safetensors"))
    pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLED_SUFFIXES)
    if not files and pickled:
        raise ConfigError(
            f"{field}: '{folder}' has pickled weights ({pickled[0]}), which may run code when loaded; "
            "convert them to safetensors with save_pretrained"
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
    """The safetensors file's tensors by name. Raises unless the file is as long as its header says."""
    size = file.stat().st_size
    header: dict[str, Any] = {}
    try:
        with file.open("rb") as stream:
            header_bytes = int.from_bytes(stream.read(8), "little")
            header = parsed_json(stream.read(min(header_bytes, size)))
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
    """Raise unless the files hold exactly the tensors that config.json implies."""
    found = {name: tensor for header in headers for name, tensor in header.items()}
    try:
        tensors.check_groups(architecture, weights)
        tensors.layer_tensors(architecture, weights)
    except ValueError as error:
        raise ConfigError(
            f"{place}: its config.json is impossible ({error}); fetch files that belong together"
        ) from error
    expected = set()
    for name, tensor in tensors.all_tensors(architecture, weights):
        expected.add(name)
        if name not in found:
            raise ConfigError(
                f"{place} lacks the tensor {name} that its config.json requires; fetch all of its files"
            )
        shape, dtype = found[name].get("shape"), found[name].get("dtype")
        if shape != list(tensor.shape) or dtype not in ALIKE.get(tensor.dtype, {tensor.dtype}):
            raise ConfigError(
                f"{place}: {name} is {dtype} {shape}, but its config.json requires {tensor.dtype} "
                f"{list(tensor.shape)}; fetch files that belong together"
            )
    others = (name for name in found if name not in expected and not name.endswith(SUPERFLUOUS))
    if unwanted := next(others, None):
        raise ConfigError(
            f"{place} has a tensor {unwanted} that its config.json does not have; fetch files that "
            "belong together"
        )


def fingerprint(folder: Path) -> str:
    """A hash (16 hex digits) of names, sizes and contents of the files that decide what is computed."""
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

"""Reads definitions of models: a folder or a repository on the hub, and the family of the model.

path: /data/mine                     a folder, whose config.json gives the architecture
hub: Qwen/Qwen3-8B                   a repository on the hub at a `revision`
architecture: {hidden_size: …}       with `hub`: its architecture, so a plan needs no network
quantized: {awq-4: {hub: …}}         published files of the same model at other precisions

Published files of the hub are named by a whole commit, so nobody can exchange them. A worker that has them
checks what they hold (`actors.checked_files`).
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raysweep.checkpoints.hub import hub_path, local_file
from raysweep.configuration import checkpoint_folder
from raysweep.configuration.architecture import architecture_of, read_architecture
from raysweep.configuration.definitions import Definitions, read_family, read_weights
from raysweep.configuration.fields import Fields
from raysweep.errors import ConfigError, shown
from raysweep.spec import Architecture, Checkpoint, Family, ModelSpec, WeightSpec

PLACE_KEYS = ("path", "hub", "revision")
COMMIT = re.compile(r"[0-9a-f]{40}")


def read_model(definitions: Definitions, entry: Any, place: str) -> ModelSpec:
    """A model by name, or by the keys of its definition."""
    if isinstance(entry, str) and os.sep in entry:
        name = os.path.basename(entry.rstrip(os.sep))
        raise ConfigError(
            f"{place}: {shown(entry)} is a path, not a name; write {{name: {name}, family: ..., "
            f"path: {entry}}} with one of the families {', '.join(definitions.names('family'))}, or "
            "your own"
        )
    name, fields = definitions.resolve_named("model", entry, place)
    fields.only(["family", "architecture", "quantized", *PLACE_KEYS])
    if "family" not in fields.values:
        raise ConfigError(
            f"{fields.at('family')}: missing; choose one of {', '.join(definitions.names('family'))}, or "
            "write your own (instruct, with sweep.forcing=direct, is for a model that marks no thinking)"
        )
    family = read_family(definitions, fields.value("family"), fields.at("family"))
    if "hub" in fields.values:
        found, architecture = read_hub(fields), read_hub_architecture(fields)
        model = ModelSpec(name, family, found.path, found.revision, architecture)
    else:
        path = fields.text("path")
        contents = checkpoint_folder.inspect(Path(path), fields.at("path"))
        model = ModelSpec(
            name, family, path, contents.revision, contents.architecture, contents.weights
        )
    quantized = read_quantized(definitions, fields, model.architecture)
    return ModelSpec(**{**vars(model), "quantized": quantized})


def read_hub(fields: Fields) -> Checkpoint:
    """A repository of the hub at a revision."""
    if "path" in fields.values:
        path = shown(fields.values["path"])
        raise ConfigError(
            f"{fields.at('path')}: {path} is given together with hub; keep one of the two"
        )
    repository = fields.text("hub")
    if repository.count("/") != 1:
        raise ConfigError(
            f"{fields.at('hub')}: {shown(repository)} is not of the form owner/name; write both"
        )
    return Checkpoint(hub_path(repository), fields.text("revision"))


def read_hub_architecture(fields: Fields) -> Architecture:
    """The architecture in the definition. It must equal that of the files if this machine has them."""
    found = read_hub(fields)
    config = local_file(found.path, found.revision, "config.json")
    if "architecture" not in fields.values and config is None:
        raise ConfigError(
            f"{fields.at('architecture')}: missing, and {found.path} is not on this machine; copy the "
            "numbers from its config.json"
        )
    if "architecture" not in fields.values:
        assert config is not None
        return read_architecture(config)
    given = architecture_of(fields.below("architecture"))
    if config is not None and (actual := read_architecture(config)) != given:
        raise ConfigError(
            f"{fields.at('architecture')}: {shown(given)} differs from {shown(actual)} in {config}; "
            "correct it"
        )
    return given


def read_quantized(
    definitions: Definitions, fields: Fields, architecture: Architecture
) -> tuple[tuple[WeightSpec, Checkpoint], ...]:
    """The published files at other precisions, each with its precision."""
    if fields.values.get("quantized") is None:
        return ()
    entries = fields.below("quantized")
    found = []
    for name in entries.values:
        weights = read_weights(definitions, name, entries.at(name))
        place = entries.below(name).only(PLACE_KEYS)
        if "hub" in place.values:
            files = read_hub(place)
            read_commit(place, place.text("hub"))
        else:
            files = read_folder(place, weights, architecture)
        found.append((weights, files))
    return tuple(found)


def read_commit(fields: Fields, page: str) -> str:
    """The `revision` as a whole commit, since a branch would be other files some day.

    page  the path of the repository's page on hf.co
    """
    revision = fields.text("revision")
    if not COMMIT.fullmatch(revision):
        raise ConfigError(
            f"{fields.at('revision')}: {shown(revision)} is not a commit; write its 40 hexadecimal digits, "
            f"which hf.co/{page}/commits/main shows"
        )
    return revision


def read_folder(place: Fields, weights: WeightSpec, architecture: Architecture) -> Checkpoint:
    """A folder with a model's quantised files. Raises if they are of another precision or model."""
    path = place.text("path")
    contents = checkpoint_folder.inspect(Path(path), place.at("path"))
    if contents.weights != weights:
        raise ConfigError(
            f"{place.at('path')}: '{path}' holds {contents.weights.slug}, not {weights.slug}; name it "
            "under its own precision"
        )
    if contents.architecture != architecture:
        raise ConfigError(f"{place.at('path')}: '{path}' holds another model; correct the path")
    return Checkpoint(path, contents.revision)


def check_families(models: Sequence[ModelSpec]) -> None:
    """Raise if two models give one name to different families."""
    families: dict[str, Family] = {}
    for index, model in enumerate(models):
        if families.setdefault(model.family.name, model.family) != model.family:
            raise ConfigError(
                f"sweep.models[{index}].family: {model.family.name!r} is also the name of a different "
                "family in an earlier model; make their names differ"
            )

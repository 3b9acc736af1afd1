"""What a run's folder says of itself: config.yaml, what its samples are made of, and summary.json.

A run may use a folder only if nothing differs that both name in their `identity`. Only a run that may
make samples describes itself there, and the versions are those with which samples were last made.
summary.json is added to by every stage; a damaged one is taken for one that is not there.
"""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from raysweep.errors import ConfigError
from raysweep.storage.store import Store

CONFIG, SUMMARY = "config.yaml", "summary.json"

Document = Mapping[str, Any]


def read_record(store: Store) -> Document:
    """config.yaml, which says what the folder's samples were made of; nothing in a new folder."""
    if not store.exists(CONFIG):
        return {}
    try:
        recorded = yaml.safe_load(store.read_text(CONFIG))
        if isinstance(recorded["identity"], Mapping):
            return recorded
        raise TypeError("its identity is no mapping")
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"run: {store.path(CONFIG)} cannot be read, so nobody knows what its samples are; "
            "choose another run"
        ) from error


def write_record(store: Store, record: Document) -> None:
    store.write_text(CONFIG, yaml.safe_dump(dict(record), sort_keys=False))


def read_summary(store: Store) -> dict[str, Any]:
    """summary.json; empty if there is none, or none that can be read."""
    return read_mapping(store, SUMMARY)


def read_mapping(store: Store, name: str) -> dict[str, Any]:
    """The mapping in a JSON file; empty if the file is missing or cannot be read."""
    try:
        found = json.loads(store.read_text(name)) if store.exists(name) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def add_to_summary(store: Store, noted: Mapping[str, Any]) -> None:
    """Write values into summary.json, beside those of the other stages."""
    store.write_text(SUMMARY, json.dumps({**read_summary(store), **noted}, indent=2) + "\n")

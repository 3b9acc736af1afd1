"""What a run's folder says of itself: config.yaml, whose samples these are, and the counts in summary.json.

A run may use a folder only if nothing differs that both name in their `identity`. summary.json is added
to by every stage; each can be told again, so a damaged one is taken for one that is not there.
"""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from raysweep.configuration.identity import check_same_run
from raysweep.errors import ConfigError
from raysweep.spec import RunConfig
from raysweep.store import Store

CONFIG, SUMMARY = "config.yaml", "summary.json"

Document = Mapping[str, Any]


def claim_folder(store: Store, config: RunConfig, document: Document) -> None:
    """Make the folder this run's, or refuse to mix it with another's samples."""
    recorded = recorded_identity(store)
    check_same_run(config, recorded)
    # What an earlier, larger run of this folder was made of stays on record.
    kept = {**document, "identity": {**recorded, **document["identity"]}}
    store.write_text(CONFIG, yaml.safe_dump(kept, sort_keys=False))


def recorded_identity(store: Store) -> Document:
    """What the folder's samples were made of; nothing in a new folder."""
    if not store.exists(CONFIG):
        return {}
    try:
        identity = yaml.safe_load(store.read_text(CONFIG))["identity"]
        if isinstance(identity, Mapping):
            return identity
        raise TypeError("its identity is no mapping")
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"run: {store.path(CONFIG)} cannot be read, so nobody knows what its samples are; "
            "choose another run"
        ) from error


def read_summary(store: Store) -> dict[str, Any]:
    """summary.json; empty if there is none, or none that can be read."""
    try:
        summary = json.loads(store.read_text(SUMMARY)) if store.exists(SUMMARY) else {}
    except ValueError:
        return {}
    return summary if isinstance(summary, dict) else {}


def add_to_summary(store: Store, noted: Mapping[str, Any]) -> None:
    """Write values into summary.json, beside those of the other stages."""
    store.write_text(SUMMARY, json.dumps({**read_summary(store), **noted}, indent=2) + "\n")

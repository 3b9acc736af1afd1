"""What a run's folder records about itself: config.yaml.

A run may use a folder only if both agree on every field that their `identity` shares. Only a run that may
make samples writes config.yaml, so the versions in it are those that made samples last.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

import yaml

from raysweep.errors import ConfigError
from raysweep.storage.store import Store
from raysweep.system.shapes import fits

CONFIG = "config.yaml"

Document = Mapping[str, Any]


class _Origin(TypedDict, total=False):
    versions: dict[str, str | None] | None
    git_revision: str | None


class Record(_Origin):
    """What is read of config.yaml."""

    identity: dict[str, Any]


def read_record(store: Store) -> Document:
    """config.yaml, which describes the folder's samples. Empty for a new folder."""
    try:
        text = store.text_if_there(CONFIG)
        if text is None:
            return {}
        recorded = yaml.safe_load(text)
        if not fits(recorded, Record):
            raise TypeError("its identity or its versions are no mappings, or a name is no text")
        return recorded
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"run: {store.path(CONFIG)} cannot be read, so it is unknown how its samples were made; "
            "choose another run"
        ) from error


def write_record(store: Store, record: Document) -> None:
    store.write_text(CONFIG, yaml.safe_dump(dict(record), sort_keys=False))

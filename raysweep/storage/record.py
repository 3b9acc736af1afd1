"""What a run's folder records about itself: config.yaml.

A run may use a folder only if both agree on every field that their `identity` shares. Only a run that may
make samples writes config.yaml, so the versions in it are those that made samples last.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from raysweep.errors import ConfigError
from raysweep.storage.store import Store

CONFIG = "config.yaml"

Document = Mapping[str, Any]


def read_record(store: Store) -> Document:
    """config.yaml, which describes the folder's samples. Empty for a new folder."""
    try:
        text = store.text_if_there(CONFIG)
        if text is None:
            return {}
        recorded = yaml.safe_load(text)
        if isinstance(recorded["identity"], Mapping):
            return recorded
        raise TypeError("its identity is not a mapping")
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"run: {store.path(CONFIG)} cannot be read, so it is unknown how its samples were made; "
            "choose another run"
        ) from error


def write_record(store: Store, record: Document) -> None:
    store.write_text(CONFIG, yaml.safe_dump(dict(record), sort_keys=False))

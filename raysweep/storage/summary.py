"""summary.json: counts, times and faults of a run. Every stage adds what it knows.

A damaged summary.json is treated as missing, because the stages can write it anew, and so is an entry of
another type than the stages write.
"""

import json
from collections.abc import Mapping
from typing import Any, get_type_hints

from raysweep.storage.store import Store
from raysweep.storage.summary_shape import Summary
from raysweep.system.json_text import parsed_json
from raysweep.system.shapes import fits

SUMMARY = "summary.json"


def read_summary(store: Store) -> dict[str, Any]:
    """The entries of summary.json that can be read."""
    kinds = get_type_hints(Summary)
    found = read_mapping(store, SUMMARY)
    return {key: value for key, value in found.items() if fits(value, kinds.get(key, Any))}


def read_mapping(store: Store, name: str) -> dict[str, Any]:
    """The mapping in a JSON file. Empty if the file is missing or cannot be read."""
    try:
        found = parsed_json(store.text_if_there(name) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def add_to_summary(store: Store, noted: Mapping[str, Any]) -> None:
    """Add values to summary.json and keep those of the other stages. Equal values are not written again."""
    before = read_summary(store)
    text = json.dumps({**before, **noted}, indent=2)
    if not before or json.loads(text) != before:
        store.write_text(SUMMARY, text + "\n")

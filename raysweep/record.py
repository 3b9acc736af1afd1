"""What a run's folder says of itself: config.yaml, what its samples are made of, and summary.json.

A run may use a folder only if nothing differs that both name in their `identity`. Only a run that may
make samples describes itself there, and the versions are those with which samples were last made.
summary.json is added to by every stage; a damaged one is taken for one that is not there.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from raysweep.configuration.identity import check_same_run
from raysweep.errors import ConfigError
from raysweep.run_config import RunConfig
from raysweep.snapshot import PROGRESS
from raysweep.store import Store

CONFIG, SUMMARY = "config.yaml", "summary.json"
ORIGIN = ("versions", "git_revision")

Document = Mapping[str, Any]


def check_folder(store: Store, config: RunConfig) -> None:
    """Refuse to mix the run with another one's samples."""
    check_same_run(config, read_record(store).get("identity", {}))


def claim_folder(store: Store, config: RunConfig, document: Document) -> None:
    """Make the folder this run's; it has been checked."""
    recorded = read_record(store)
    identity = recorded.get("identity", {})
    if {"plan", "generate"} & set(config.stages):
        origin = {key: recorded[key] for key in ORIGIN if key in recorded}
        # What an earlier, larger run of this folder was made of stays on record.
        merged = {**identity, **document["identity"]}
        write_record(store, {**document, **origin, "identity": merged})


def note_origin(store: Store, document: Document) -> None:
    """Put on record that the samples to come are made with the document's versions."""
    write_record(store, {**read_record(store), **{key: document.get(key) for key in ORIGIN}})


def origin(store: Store, config: RunConfig) -> dict[str, Any]:
    """What summary.json says about where the samples come from."""
    recorded = read_record(store)
    return {"run": config.run, "seed": config.seed, **{key: recorded.get(key) for key in ORIGIN}}


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
    return _mapping(store, SUMMARY)


def _mapping(store: Store, name: str) -> dict[str, Any]:
    """A JSON file's mapping; empty if there is none, or none that can be read."""
    try:
        found = json.loads(store.read_text(name)) if store.exists(name) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def add_to_summary(store: Store, noted: Mapping[str, Any]) -> None:
    """Write values into summary.json, beside those of the other stages."""
    store.write_text(SUMMARY, json.dumps({**read_summary(store), **noted}, indent=2) + "\n")


def note_killed_session(store: Store) -> None:
    """Add what is known of the session of a driver that was killed, or that this one took over from."""
    before = store.lease.displaced if store.lease else None
    if not before:
        return
    progress = _mapping(store, PROGRESS)
    known = progress if progress.get("epoch") == before.get("epoch") else {}
    faults = {**known.get("faults", {}), "driver": 1}
    note_session(store, known.get("wall_s", 0.0), 0.0, faults)


def note_session(
    store: Store,
    wall_s: float,
    gpu_s: float,
    faults: Mapping[str, int],
    warnings: Iterable[str] = (),
) -> None:
    """Add a generate stage's time, GPU time, faults by kind and warnings to those of sessions before."""
    before = read_summary(store)
    by_kind = Counter(before.get("faults_by_kind", {})) + Counter(faults)
    noted = {
        "wall_s": round(before.get("wall_s", 0.0) + wall_s, 1),
        "gpu_hours": before.get("gpu_hours", 0.0) + gpu_s / 3600,
        "faults_survived": before.get("faults_survived", 0) + sum(faults.values()),
        "faults_by_kind": dict(sorted(by_kind.items())),
        "warnings": sorted({*before.get("warnings", ()), *warnings}),
    }
    add_to_summary(store, noted)

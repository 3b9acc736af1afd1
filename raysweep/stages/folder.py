"""A run and its folder: whether the run may use it, and what the folder records about the run.

A run may use a folder only if no field differs that both have in their `identity`. Only a run that may make
samples is recorded there. The recorded versions are those with which samples were last made.
"""

from typing import Any

from raysweep.configuration.identity import check_same_run
from raysweep.run_config import RunConfig
from raysweep.storage.record import Document, read_record, write_record
from raysweep.storage.store import Store

ORIGIN = ("versions", "git_revision")


def check_folder(store: Store, config: RunConfig) -> None:
    """Raise ConfigError if the folder holds the samples of another run."""

    def has_samples(engines: str) -> bool:
        return any(name.startswith(f"samples/engine={engines}") for name in store.part_names())

    check_same_run(config, read_record(store).get("identity", {}), has_samples)


def claim_folder(store: Store, config: RunConfig, document: Document) -> None:
    """Record the run in its folder, which has been checked."""
    recorded = read_record(store)
    identity = recorded.get("identity", {})
    if {"plan", "generate"} & set(config.stages):
        origin = {key: recorded[key] for key in ORIGIN if key in recorded}
        # The identity of an earlier, larger run in this folder stays on record.
        merged = {**identity, **document["identity"]}
        write_record(store, {**document, **origin, "identity": merged})


def note_origin(store: Store, document: Document) -> None:
    """Record that the samples to come are made with the versions of `document`."""
    write_record(store, {**read_record(store), **{key: document.get(key) for key in ORIGIN}})


def origin(store: Store, config: RunConfig) -> dict[str, Any]:
    """What summary.json says about the origin of the samples."""
    recorded = read_record(store)
    return {"run": config.run, "seed": config.seed, **{key: recorded.get(key) for key in ORIGIN}}

"""A run and its folder: may the run use it, and what does the folder say of the run.

A run may use a folder only if nothing differs that both name in their `identity`. Only a run that may
make samples describes itself there, and the versions are those with which samples were last made.
"""

from typing import Any

from raysweep.configuration.identity import check_same_run
from raysweep.run_config import RunConfig
from raysweep.storage.record import Document, read_record, write_record
from raysweep.storage.store import Store

ORIGIN = ("versions", "git_revision")


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

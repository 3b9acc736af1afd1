"""progress.json: how far a generate stage is. The driver writes it now and then, and `status` reads it."""

import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime

from raysweep.monitoring.snapshot import EngineProgress, Snapshot
from raysweep.storage.store import Store
from raysweep.system.json_text import parsed_json
from raysweep.system.shapes import fits

PROGRESS = "progress.json"


@dataclass(frozen=True)
class Progress:
    """The contents of progress.json: how far a generate stage was, and when."""

    when: datetime
    snapshot: Snapshot


def write_progress(store: Store, snapshot: Snapshot) -> None:
    """Write progress.json: the snapshot, its time, and the epoch of the driver that took it."""
    noted = {
        "written_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "epoch": store.lease.epoch if store.lease else 0,
        **asdict(snapshot),
    }
    store.write_text(PROGRESS, json.dumps(noted, indent=2) + "\n")


def read_progress(store: Store) -> Progress | None:
    """What the running generate stage, or the last one, has written; None if it cannot be read."""
    try:
        noted = parsed_json(store.text_if_there(PROGRESS) or "null")
        if noted is None:
            return None
        when = datetime.fromisoformat(noted.pop("written_at"))
        noted.pop("epoch", None)
        if not fits(noted, Snapshot):
            return None
        engines = tuple(EngineProgress(**engine) for engine in noted.pop("engines"))
        return Progress(when, Snapshot(engines, **noted))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None

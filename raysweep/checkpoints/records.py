"""Records beside the checkpoints that raysweep makes, as small JSON files in `prepare.checkpoints`.

<recipe>.json           how long a checkpoint took, and how long the rough model said
texts-<content>.json    the SHA-256 of published calibration texts as first fetched, and the benchmarks that
                        have been compared with them

They name no secret and no text. A record that cannot be read counts as missing, as all can be made anew.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raysweep.recipe import Calibration
from raysweep.storage.store import Store
from raysweep.storage.summary import read_mapping


@dataclass(frozen=True)
class MakingTime:
    """How long a checkpoint took.

    modelled_s  what the model said for that machine; 0 if it knew no GPU of that kind
    on_gpu      whether it was made on a GPU
    """

    seconds: float
    modelled_s: float
    on_gpu: bool


@dataclass(frozen=True)
class TextsRecord:
    """What is known of published texts: the file's SHA-256, and the benchmarks (`asked`) checked so far."""

    origin: str
    sha256: str
    checked: tuple[str, ...] = ()


def write_time(checkpoints: str, recipe_id: str, time: MakingTime) -> None:
    Store(checkpoints).write_text(f"{recipe_id}.json", _json(asdict(time)))


def read_times(checkpoints: str, recipe_ids: Sequence[str]) -> Iterator[MakingTime]:
    """The times of those recipes that are on record."""
    for recipe_id in recipe_ids:
        found = read_mapping(Store(checkpoints), f"{recipe_id}.json")
        try:
            seconds, modelled_s = float(found["seconds"]), float(found["modelled_s"])
            yield MakingTime(seconds, modelled_s, bool(found["on_gpu"]))
        except (KeyError, TypeError, ValueError):
            continue


def texts_name(calibration: Calibration) -> str:
    return f"texts-{calibration.content}.json"


def write_texts(checkpoints: str, calibration: Calibration, record: TextsRecord) -> None:
    Store(checkpoints).write_text(texts_name(calibration), _json(asdict(record)))


def read_texts(checkpoints: str, calibration: Calibration) -> TextsRecord | None:
    found = read_mapping(Store(checkpoints), texts_name(calibration))
    try:
        return TextsRecord(str(found["origin"]), str(found["sha256"]), tuple(found["checked"]))
    except (KeyError, TypeError):
        return None


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"

"""The folder `index/`: what the footers of parts say, so that a listing of the parts suffices to know them.

The index is no record of work. It may be lost, and whatever is not in it is read from the parts. Each file of
it is written once, under the hash of its content, so writers never contend, and a file that is damaged or
half written is none. Readers merge all files. Who finds many of them writes one instead of them.

An entry holds for a file of the same name, size and time of writing. A file that is written again within the
resolution of that time could have the same. So an entry counts only if its file was `SETTLED_S` old when it
was listed, by the clock of the storage: that of the index's own file, less the time from the listing to it.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raysweep.errors import ConfigError
from raysweep.storage.files import Folder
from raysweep.storage.listing import places_in
from raysweep.storage.note_rows import ROWS, together

INDEX = "index"
NAME = re.compile(r"index/notes-([0-9a-f]{32})\.arrow")
# More files than these are merged into one.
MOST_FILES = 8
# Object stores tell the time in whole seconds, and so do some disks.
SETTLED_S = 3.0
# Nanoseconds from the listing of the parts to the writing of the file.
LISTED_KEY = b"raysweep.listed_ns_before"
LEFTOVER_AGE_S = 3600


@dataclass(frozen=True)
class Index:
    """What the index knows of the listed files.

    rows   the notes of the parts in them (`note_rows.ROWS`), each file's from one of the index's files
    known  whether a listed file is known, in the order of the listing
    files  the names of the index's files
    """

    rows: pa.Table
    known: np.ndarray
    files: tuple[str, ...]


@dataclass(frozen=True)
class IndexFile:
    """A file of the index.

    rows    those of its rows that hold for listed files; None if the file cannot be read as one of the index
    places  the place of each row's file in the listing
    """

    name: str
    rows: pa.Table | None
    places: np.ndarray


def read_index(folder: Folder, listing: pa.Table) -> Index:
    """What the index knows of the files of a listing (`listing.LISTING`)."""
    known = np.zeros(listing.num_rows, bool)
    tables, names = [], []
    for file in index_files(folder, listing):
        if file.rows is not None:
            names.append(file.name)
            new = ~known[file.places]
            known[file.places] = True
            tables.append(_where(file.rows, new))
    return Index(together(tables), known, tuple(names))


def index_files(folder: Folder, listing: pa.Table) -> Iterator[IndexFile]:
    """The files of the index, with what holds for the files of a listing."""
    try:
        there = folder.listing(INDEX)
    except ConfigError:  # no right to read it
        return
    written = dict(zip(there["file"].to_pylist(), there["modified"].to_pylist(), strict=True))
    names = [name for name in written if NAME.fullmatch(name)]
    read = folder.side_by_side(lambda name: _rows(folder, name), names)
    for name, rows in zip(names, read, strict=True):
        if rows is None:
            yield IndexFile(name, None, np.zeros(0, int))
            continue
        age_ns = int(rows.schema.metadata[LISTED_KEY]) + int(SETTLED_S * 1e9)
        holds, places = _holding(rows, listing, written[name] - age_ns)
        valid = _where(rows.replace_schema_metadata(None), holds)
        yield IndexFile(name, valid, places[holds])


def _where(rows: pa.Table, chosen: np.ndarray) -> pa.Table:
    return rows if chosen.all() else rows.filter(pa.array(chosen))


def _holding(rows: pa.Table, listing: pa.Table, settled_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether each row holds for a listed file that was written until `settled_ns`, and the file's place."""
    place = places_in(listing, rows["file"])
    holds = place.is_valid().to_numpy() & (rows["modified"].to_numpy() <= settled_ns)
    places = place.fill_null(0).to_numpy()
    if listing.num_rows:
        for column in ("size", "modified"):
            holds &= rows[column].to_numpy() == listing[column].to_numpy()[places]
    return holds, places


def _rows(folder: Folder, name: str) -> pa.Table | None:
    """The rows of a file of the index. None if it is damaged or cannot be read, or was merged meanwhile."""
    try:
        data = folder.read(name, lambda file: file.read())
    except ConfigError:
        return None
    found = NAME.fullmatch(name)
    if found is None or found[1] != _digest(data):
        return None
    rows = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    # Another raysweep may have written other columns.
    return rows if rows.schema.equals(ROWS) and LISTED_KEY in (rows.schema.metadata or {}) else None


def write_index(folder: Folder, index: Index, new: pa.Table, listed: float) -> None:
    """Add rows to the index, if this is possible. Nothing needs them, so no error is raised.

    index   what was read of it
    listed  `time.monotonic()` before the parts were listed
    """
    merges = len(index.files) >= MOST_FILES
    rows = together([index.rows, new] if merges else [new])
    age_ns = int((time.monotonic() - listed) * 1e9)
    data = _encoded(rows.replace_schema_metadata({LISTED_KEY: str(age_ns)}))
    name = f"{INDEX}/notes-{_digest(data)}.arrow"
    if not folder.write_if_possible(name, data) or not merges:
        return
    with suppress(ConfigError):  # another writer merges them too
        for merged in index.files:
            if merged != name:
                folder.remove(merged)
        folder.remove_leftovers(INDEX, ".notes-*.tmp", LEFTOVER_AGE_S)


def _encoded(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, rows.schema, options=options) as file:
        file.write_table(rows)
    return sink.getvalue().to_pybytes()


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()

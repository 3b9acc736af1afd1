"""What the parts of a folder say of themselves: from a listing, the index, and the footers of new parts.

Footers are read side by side, and what they say is added to the index if it is much. A look that follows
another reads only what has changed since.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

import numpy as np
import pyarrow as pa

from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.files import MissingFileError
from raysweep.storage.listing import LISTING, places_in
from raysweep.storage.note_index import read_index, write_index
from raysweep.storage.note_rows import Noted, parts_of, rows_of, together
from raysweep.storage.part import Part
from raysweep.storage.store import Store

# New notes are added to the index if they are so many, and this share of all.
FEWEST_NEW, NEW_SHARE = 16, 0.01
# Notes that are held as footers say them, before equal mappings are shared.
BATCH = 1_000
# How often in a row a listed file may be missing when it is read.
MOST_LOOKS = 5


@dataclass(frozen=True)
class Notes:
    """What was found at a look.

    listing  the files with parts (`listing.LISTING`)
    parts    those in all files that are whole, by file; a part that is being moved may be in two
    damaged  the names of files that are not whole
    """

    listing: pa.Table = field(default_factory=LISTING.empty_table)
    parts: tuple[Part, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def newest(self) -> datetime | None:
        """When the newest file was written. None if there is none."""
        newest = max(self.listing["modified"].to_pylist(), default=None)
        return None if newest is None else datetime.fromtimestamp(newest / 1e9, UTC)


def look(store: Store, before: Notes) -> Notes:
    """The notes of all parts. Files that are listed as they were `before` are not read again.

    Raises ConfigError for a part of another schema version.
    """
    for _ in range(MOST_LOOKS - 1):
        with suppress(MissingFileError):  # it was moved or removed after it was listed
            return _look(store, before)
    return _look(store, before)


def _look(store: Store, before: Notes) -> Notes:
    listed = time.monotonic()
    listing = store.part_files()
    if listing.equals(before.listing):
        return before
    if not before.parts:
        new, damaged = _read(store, listing, listing.num_rows, listed)
        return Notes(listing, _by_file(new), damaged)
    kept = _unchanged(listing, before)
    rest = listing.filter(
        pa.array([name not in kept for name in listing["file"].to_pylist()], pa.bool_())
    )
    new, damaged = _read(store, rest, listing.num_rows, listed)
    parts = [part for part in before.parts if part.file in kept]
    return Notes(listing, _by_file([*parts, *new]), damaged)


def _by_file(parts: list[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: part.file))


def _unchanged(listing: pa.Table, before: Notes) -> set[str]:
    """The files that are listed as they were before, and were whole."""
    place = places_in(before.listing, listing["file"])
    there = place.is_valid()
    now, then = listing.filter(there), before.listing.take(place.filter(there))
    same = np.ones(now.num_rows, bool)
    for column in ("size", "modified"):
        same &= now[column].to_numpy() == then[column].to_numpy()
    whole = {part.file for part in before.parts}
    return whole.intersection(now["file"].filter(pa.array(same)).to_pylist())


def _read(
    store: Store, listing: pa.Table, of: int, listed: float
) -> tuple[list[Part], tuple[str, ...]]:
    """The parts in the listed files by the index and by their footers, and the damaged files.

    of  the number of files in the whole listing
    """
    if listing.num_rows < FEWEST_NEW:
        new, damaged = _footers(store, listing)
        return parts_of(new), damaged
    index = read_index(store.folder, listing)
    new, damaged = _footers(store, listing.filter(pa.array(~index.known)))
    if new.num_rows >= max(FEWEST_NEW, NEW_SHARE * of):
        write_index(store.folder, index, new, listed)
    return parts_of(together([index.rows, new])), damaged


def _footers(store: Store, listing: pa.Table) -> tuple[pa.Table, tuple[str, ...]]:
    """The rows of the listed files by their footers, and the damaged files."""

    def read(file: tuple[str, int, int]) -> Noted | DamagedPartError:
        try:
            return Noted(*file, store.read_notes(file[0], size=file[1]))
        except DamagedPartError as error:
            return error

    files = zip(*(column.to_pylist() for column in listing.columns), strict=True)
    tables, damaged = [], []
    found = store.folder.side_by_side(read, files)
    while some := list(islice(found, BATCH)):
        tables.append(rows_of(one for one in some if isinstance(one, Noted)))
        damaged += [one.name for one in some if isinstance(one, DamagedPartError)]
    return together(tables), tuple(damaged)

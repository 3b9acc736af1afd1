"""Sets a damaged file of samples aside without losing those of its parts that are whole."""

from collections.abc import Collection
from contextlib import suppress

from raysweep.storage.damaged import DamagedPartError, set_aside
from raysweep.storage.part_file import is_compacted, place_of
from raysweep.storage.store import Store


def rescued(store: Store, name: str, without: Collection[str] = ()) -> str:
    """Rename a damaged file, so that it is one no more. Gives its new name.

    without  shard ids of parts that are wrong although they can be read

    The whole parts of a compacted file become files of their own first, unless its footer is damaged.
    """
    if is_compacted(name):
        with suppress(DamagedPartError):
            for part in store.read_notes(name):
                if part.shard_id not in without and not store.exists(part.name):
                    with suppress(DamagedPartError):
                        store.write_part(*store.read_whole_part(place_of(part)))
    return set_aside(store.folder, name)

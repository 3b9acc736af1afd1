"""Whether the index of notes says what the parts say. Nothing depends on it but how long commands take."""

from collections.abc import Iterable, Iterator

from raysweep.storage.note_index import index_files
from raysweep.storage.note_rows import parts_of
from raysweep.storage.part import Part
from raysweep.storage.store import Store
from raysweep.system.quantities import plural


def check_index(store: Store, parts: Iterable[Part]) -> Iterator[tuple[str, str]]:
    """The files of the index that say something else than the parts, as (name, what is wrong).

    parts  as their files say
    """
    by_place = {(part.file, part.shard_id): part for part in parts}
    for file in index_files(store.folder, store.part_files()):
        if file.rows is None:
            yield file.name, "it is damaged, so the parts are opened instead"
            continue
        said = (
            (part, by_place.get((part.file, part.shard_id), part)) for part in parts_of(file.rows)
        )
        if wrong := [part for part, true in said if part != true]:
            count = plural(len(wrong), "part")
            yield (
                file.name,
                f"it does not say what {count} say, of which {wrong[0].file} is the first",
            )

"""Whatever lies where a compacted file should be has its parts, or is set aside. Nothing else is raised."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from many import many
from mutations import NOTES, applied, changes
from support.parts import ENGINE, PART, rows

from raysweep.errors import ConfigError
from raysweep.storage.damaged import DamagedPartError, set_aside
from raysweep.storage.part_file import GROUPS_KEY, NOTES_KEY, compacted_name, described, place_of
from raysweep.storage.store import Store

PARTS = (PART, replace(PART, shard_id="bb", sample_start=5))
NAME = compacted_name(ENGINE, "sums", ("aa", "bb"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("run")))
    store.write_parts(NAME, PARTS, (rows(2, 3, 4), rows(5, 6, 7)))
    return store


@pytest.fixture(scope="module")
def sealed(store: Store) -> bytes:
    return Path(store.path(NAME)).read_bytes()


def check(store: Store, data: bytes, intact: bool) -> None:
    """Read the file in every way; where it is `intact` unless something is told, nothing else may be read."""
    Path(store.path(NAME)).write_bytes(data)
    try:
        found = list(store.parts())
        tables = [store.read_part(place_of(part), ["sample_index"]) for part in found]
        if intact:
            assert tuple(found) == PARTS
            read = [table["sample_index"].to_pylist() for table in tables]
            assert read == [[2, 3, 4], [5, 6, 7]]
        whole = store.read_whole_file(NAME)
        list(map(whole.table, whole.parts))
    except ConfigError as error:  # damaged, or of another schema version
        said = str(error)
        assert NAME in said and said == " ".join(said.split()) and "\x1b" not in said
        if isinstance(error, DamagedPartError):
            set_aside(store.folder, NAME)
            assert list(store.parts()) == []


@many(300)
@given(made=changes())
def test_a_compacted_file_with_a_mutated_footer_has_its_parts_or_is_set_aside(
    store: Store, sealed: bytes, made: Any
):
    check(store, applied(sealed, made), intact=True)


@many(200)
@given(key=st.sampled_from([NOTES_KEY, GROUPS_KEY]), value=NOTES)
def test_a_well_sealed_file_whose_metadata_are_anything_has_parts_or_is_set_aside(
    store: Store, key: bytes, value: Any
):
    metadata = {**described(PARTS), key: json.dumps(value).encode()}
    check(store, store._encoded((rows(2), rows(5)), metadata), intact=False)


@many(200)
@given(note=st.integers(0, 1), key=st.sampled_from(sorted(vars(PART))), value=NOTES)
def test_a_well_sealed_file_with_any_note_has_parts_or_is_set_aside(
    store: Store, note: int, key: str, value: Any
):
    metadata = described(PARTS)
    notes = json.loads(metadata[NOTES_KEY])
    notes[note][key] = value
    metadata[NOTES_KEY] = json.dumps(notes).encode()
    check(store, store._encoded((rows(2), rows(5)), metadata), intact=False)


@many(200)
@given(groups=st.dictionaries(st.sampled_from(["aa", "bb"]), st.lists(st.integers(), max_size=3)))
def test_row_groups_that_are_not_there_are_damage(store: Store, groups: dict[str, list[int]]):
    metadata = {**described(PARTS), GROUPS_KEY: json.dumps(groups).encode()}
    check(store, store._encoded((rows(2), rows(5)), metadata), intact=False)

"""Whatever lies where a part should be: it is that part, or it is set aside. Nothing else is raised."""

import json
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
from raysweep.storage.part import PART_KEY, encoded, part_name
from raysweep.storage.part_file import place_of
from raysweep.storage.seal import SEAL_BYTES
from raysweep.storage.store import Store

NAME = part_name(ENGINE, "aa")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("run")))
    store.write_part(PART, rows(2, 3, 4))
    return store


@pytest.fixture(scope="module")
def sealed(store: Store) -> bytes:
    return Path(store.path(NAME)).read_bytes()


@pytest.fixture(scope="module")
def unsealed(sealed: bytes) -> bytes:
    """As an early raysweep wrote it: nothing but pyarrow guards its footer."""
    end = len(sealed) - int.from_bytes(sealed[-8:-4], "little") - 8
    return sealed[: end - SEAL_BYTES] + sealed[end:]


def check(store: Store, data: bytes, intact: bytes | None) -> None:
    """Read the part in every way; where `intact` is known, nothing else may be read."""
    file = Path(store.path(NAME))
    file.write_bytes(data)
    try:
        found = list(store.parts())
        table = store.read_part(place_of(PART), ["question_id", "sample_index"])
        if intact is not None:
            assert found == [PART]
            assert table["sample_index"].to_pylist() == [2, 3, 4]
        store.read_whole_part(place_of(PART))
        whole = store.read_whole_file(NAME)
        list(map(whole.table, whole.parts))
    except ConfigError as error:  # damaged, or of another schema version
        said = str(error)
        assert NAME in said and said == " ".join(said.split()) and "\x1b" not in said
        if isinstance(error, DamagedPartError):
            set_aside(store.folder, NAME)
            assert list(store.parts()) == []


@many(400)
@given(made=changes())
def test_a_part_with_a_mutated_footer_is_that_part_or_is_set_aside(
    store: Store, sealed: bytes, made: Any
):
    check(store, applied(sealed, made), intact=sealed)


@many(400)
@given(made=changes())
def test_a_part_without_a_seal_and_with_a_mutated_footer_is_a_part_or_is_set_aside(
    store: Store, unsealed: bytes, made: Any
):
    check(store, applied(unsealed, made), intact=None)


@many(200)
@given(key=st.sampled_from(sorted(json.loads(encoded(PART)))), value=NOTES, drop=st.booleans())
def test_a_well_sealed_part_whose_note_is_anything_is_a_part_or_is_set_aside(
    store: Store, key: str, value: Any, drop: bool
):
    note = json.loads(encoded(PART))
    note.pop(key)
    note |= {} if drop else {key: value}
    data = store._encoded([rows(2)], {PART_KEY: json.dumps(note).encode()})
    check(store, data, intact=None)


def test_the_table_that_the_footers_are_of_is_read_as_it_is(store: Store, sealed: bytes):
    Path(store.path(NAME)).write_bytes(sealed)
    whole = store.read_whole_file(NAME)
    assert whole.parts == (PART,) and whole.sealed
    assert whole.table(PART).equals(rows(2, 3, 4))

"""What verify says of an index that does not say what the parts say."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from support.command import Command

from raysweep.run_config import Verify
from raysweep.storage import note_index
from raysweep.storage.notes import Notes, look
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE, WORK_REMAINS

SAMPLES = 20


@pytest.fixture
def store(run: Command, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A run of twenty parts with an index, which counts what was written just now as if it were older."""
    monkeypatch.setattr(note_index, "SETTLED_S", -60.0)
    assert run("generate", "status", samples=SAMPLES)[0] == DONE
    return Store(str(run.out / "test"))


def index_file(store: Store) -> Path:
    (file,) = Path(store.path("index")).iterdir()
    return file


def test_an_index_that_says_what_the_parts_say_is_no_problem(run, store):
    assert "no problem found" in run("verify", samples=SAMPLES)[1]


def say(store: Store, change: Callable[[pa.Table], pa.Table]) -> str:
    """Put a whole file of other rows in the place of the index. Gives its name."""
    file = index_file(store)
    rows = pa.ipc.open_file(file).read_all()
    data = note_index._encoded(change(rows).replace_schema_metadata(rows.schema.metadata))
    file.unlink()
    lying = file.with_name(f"notes-{note_index._digest(data)}.arrow")
    lying.write_bytes(data)
    return lying.name


def test_an_index_that_says_something_else_is_named_and_set_aside(run, store):
    def more_samples(rows: pa.Table) -> pa.Table:
        at = rows.schema.get_field_index("sample_count")
        return rows.set_column(at, rows.schema.field(at), pa.array([9] * rows.num_rows))

    name = say(store, more_samples)
    assert {part.sample_count for part in look(store, Notes()).parts} == {9}
    status, said = run("verify", samples=SAMPLES)
    assert status == WORK_REMAINS and "1 problem found" in said
    assert name in said and "it does not say what 20 parts say" in said
    run("verify", samples=SAMPLES, verify=Verify(repair=True))
    assert index_file(store).name == f"{name}.damaged"
    assert {part.sample_count for part in look(store, Notes()).parts} == {2}


def test_a_damaged_index_is_named(run, store):
    file = index_file(store)
    file.write_bytes(file.read_bytes()[:-1])
    status, said = run("verify", samples=SAMPLES)
    assert status == WORK_REMAINS and f"{file.name}: it is damaged" in said

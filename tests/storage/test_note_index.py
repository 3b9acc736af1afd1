"""The index of notes: what it saves, that it never says what a part does not, and that it may be lost."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.parts import PART, rows

from raysweep.storage import note_index
from raysweep.storage.note_rows import Noted, parts_of, rows_of
from raysweep.storage.notes import FEWEST_NEW, Notes, look
from raysweep.storage.part import Part
from raysweep.storage.store import Store

ROOT = Path(__file__).parents[2]
COUNT = FEWEST_NEW + 4
SAMPLES = rows(2, 3)


def part(number: int, **changes: Any) -> Part:
    return replace(PART, shard_id=f"{number:04}", **changes)


def write(store: Store, *parts: Part, age_s: float = 60.0) -> None:
    """Write parts as they would be `age_s` seconds later."""
    for one in parts:
        store.write_part(one, SAMPLES)
        facts = os.stat(file_of(store, one))
        os.utime(file_of(store, one), ns=(facts.st_atime_ns, facts.st_mtime_ns - int(age_s * 1e9)))


def file_of(store: Store, one: Part) -> str:
    return store.path(one.name)


def index_files(store: Store) -> list[Path]:
    return sorted(Path(store.path("index")).glob("*"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "run"))
    write(store, *map(part, range(COUNT)))
    return store


@pytest.fixture
def footers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose footers are read."""
    read_notes, read = Store.read_notes, []

    def counted(store: Store, name: str, size: int | None = None) -> tuple[Part, ...]:
        read.append(name)
        return read_notes(store, name, size)

    monkeypatch.setattr(Store, "read_notes", counted)
    return read


def seen(store: Store) -> list[Part]:
    """What a new command sees."""
    return list(look(store, Notes()).parts)


def by_footers(store: Store) -> list[Part]:
    return [one for name in store.part_names() for one in store.read_notes(name)]


def test_a_second_command_opens_no_part(store, footers):
    first = seen(store)
    assert first == list(map(part, range(COUNT))) and len(footers) == COUNT
    footers.clear()
    assert seen(store) == first and footers == []
    assert [one.file for one in seen(store)] == [one.name for one in first]


def test_only_what_is_new_or_was_rewritten_is_opened(store, footers):
    seen(store)
    footers.clear()
    changed, new = part(3, tokens=77), part(COUNT)
    write(store, changed, new, age_s=30.0)
    assert seen(store) == by_footers(store)
    assert sorted(footers[:2]) == sorted([changed.name, new.name])


def test_a_later_look_reads_what_has_changed_and_forgets_what_is_gone(store, footers):
    before = look(store, Notes())
    footers.clear()
    assert look(store, before) is before
    write(store, part(5, tokens=9), age_s=1.0)
    os.unlink(file_of(store, part(0)))
    after = look(store, before)
    assert footers == [part(5).name]
    assert list(after.parts) == by_footers(store) and len(after.parts) == COUNT - 1


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"", lambda data: data[:99] + b"x" + data[100:]]
)
def test_a_damaged_index_is_none(store, footers, damage: Callable[[bytes], bytes]):
    seen(store)
    (file,) = index_files(store)
    file.write_bytes(damage(file.read_bytes()))
    footers.clear()
    assert seen(store) == list(map(part, range(COUNT))) and len(footers) == COUNT


def test_an_index_with_other_columns_is_none(store, footers, monkeypatch):
    monkeypatch.setattr(
        note_index, "_encoded", lambda rows, real=note_index._encoded: real(rows.drop(["tokens"]))
    )
    seen(store)
    footers.clear()
    assert seen(store) == list(map(part, range(COUNT))) and len(footers) == COUNT


def test_a_part_that_is_written_again_in_the_same_moment_with_the_same_size_is_not_taken_for_the_first(
    store,
):
    write(store, part(7, tokens=1), age_s=0.0)
    facts = os.stat(file_of(store, part(7)))
    assert part(7, tokens=1) in seen(store)
    write(store, part(7, tokens=2), age_s=0.0)
    os.utime(file_of(store, part(7)), ns=(facts.st_atime_ns, facts.st_mtime_ns))
    again = os.stat(file_of(store, part(7)))
    assert (again.st_size, again.st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    assert part(7, tokens=2) in seen(store)


def test_a_clock_that_is_wrong_here_changes_nothing_as_only_the_storage_tells_the_time(
    store, monkeypatch, footers
):
    monkeypatch.setattr("time.time", lambda: 0.0)
    seen(store)
    footers.clear()
    assert len(seen(store)) == COUNT and footers == []


def test_a_folder_in_which_nothing_may_be_written_is_read_all_the_same(store, monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "makedirs", refused)
    assert seen(store) == list(map(part, range(COUNT))) and index_files(store) == []


def test_an_index_that_cannot_be_read_is_none(store, monkeypatch):
    Path(store.path("index")).write_text("no folder")
    assert seen(store) == list(map(part, range(COUNT)))


def test_a_few_new_parts_are_not_worth_a_file_of_the_index(store):
    seen(store)
    write(store, part(COUNT))
    seen(store)
    assert len(index_files(store)) == 1


def test_many_files_of_the_index_are_merged_into_one_without_what_is_gone(
    store, monkeypatch, footers
):
    monkeypatch.setattr(note_index, "MOST_FILES", 3)
    for start in range(COUNT, 4 * COUNT, COUNT):
        seen(store)
        write(store, *map(part, range(start, start + COUNT)))
    assert len(index_files(store)) == 3
    os.unlink(file_of(store, part(0)))
    seen(store)
    (file,) = index_files(store)
    known = pa.ipc.open_file(file).read_all()["file"].to_pylist()
    assert sorted(known) == store.part_names()
    footers.clear()
    assert len(seen(store)) == 4 * COUNT - 1 and footers == []


texts = st.text(max_size=8)
mappings = st.dictionaries(texts, texts, max_size=3)
counts = st.integers(0, 10**12)
any_part = st.builds(
    Part,
    *(texts, texts, texts, mappings, counts, counts),
    graders=mappings,
    tokens=counts,
    engine_s=st.floats(0, 1e9),
    device=texts,
    epoch=counts,
    golds=mappings,
    former_golds=mappings,
    prompts=mappings,
    version=st.integers(1, 3),
    kept_tokens=counts,
    file=texts,
)


@given(st.lists(any_part, max_size=4), counts, counts)
def test_rows_give_back_every_part(parts: list[Part], size: int, modified: int):
    found = rows_of([Noted("some file", size, modified, tuple(parts))])
    back = parts_of(pa.concat_tables([found, found]))
    assert back == [*parts, *parts]
    assert [one.file for one in back] == [one.file for one in parts] * 2


KILLED = """
import os, signal, sys
from raysweep.storage.notes import Notes, look
from raysweep.storage.store import Store
replace = os.replace
def killed(source, target):
    if "/index/" in target:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = killed
look(Store(sys.argv[1]), Notes())
"""


def test_a_command_that_is_killed_while_it_writes_the_index_leaves_nothing_that_counts(
    store, footers
):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, store.root], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == -signal.SIGKILL
    (left,) = index_files(store)
    assert left.name.startswith(".notes-") and left.name.endswith(".tmp")
    assert seen(store) == list(map(part, range(COUNT)))
    footers.clear()
    assert len(seen(store)) == COUNT and footers == []


AT_ONCE = """
import os, shutil, sys
from dataclasses import replace
sys.path.insert(0, sys.argv[3])
from support.parts import PART, rows
from raysweep.storage import note_index, notes
from raysweep.storage.notes import Notes, look
from raysweep.storage.store import Store
store, who, notes.FEWEST_NEW, note_index.MOST_FILES = Store(sys.argv[1]), sys.argv[2], 1, 2
for turn in range(12):
    if who == "writes":
        for number in range(0, 8):
            store.write_part(replace(PART, shard_id=f"{number:04}", tokens=turn), rows(2, 3))
    elif who == "loses" :
        shutil.rmtree(store.path("index"), ignore_errors=True)
    else:
        found = {part.shard_id: part for part in look(store, Notes()).parts}
        assert len(found) == int(sys.argv[4]), len(found)
        assert all(found[f"{n:04}"].tokens <= 11 for n in range(8))
"""


def test_commands_that_read_and_write_and_lose_the_index_at_once_all_see_the_whole_run(store):
    arguments = str(ROOT / "tests"), str(COUNT)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, store.root, who, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for who in ("reads", "reads", "writes", "loses")
    ]
    for process in processes:
        assert process.communicate(timeout=120)[1] == "" and process.returncode == 0
    assert seen(store) == by_footers(store)
    assert [one.tokens for one in seen(store)][:8] == [11] * 8

"""One command reads the footer of each part once and plans once, however many of its stages look."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from support.command import Command

from raysweep.stages import folder_view
from raysweep.storage.files import Folder
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE

STAGES = ("plan", "prepare", "generate", "reduce", "report")
PARTS_OF_TWO_SAMPLES = 2  # three questions, two per shard


class Counts:
    """How often parts were opened and their footers read, by file name, and how often a run was planned."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.monkeypatch = monkeypatch
        self.notes: Counter[str] = Counter()
        self.opened: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.note_order: list[str] = []
        read_notes, read = Store.read_notes, Folder.read

        def counted_note(store: Store, name: str, size: int | None = None) -> Any:
            self.notes[name] += 1
            self.note_order.append(name)
            return read_notes(store, name, size)

        def counted_read(folder: Folder, name: str, how: Callable[[pa.NativeFile], Any]) -> Any:
            if name.startswith("samples/"):
                self.opened[name] += 1
            return read(folder, name, how)

        monkeypatch.setattr(Store, "read_notes", counted_note)
        monkeypatch.setattr(Folder, "read", counted_read)
        for name in ("make_plan", "estimates"):
            self._count_calls(name)

    def _count_calls(self, name: str) -> None:
        function = getattr(folder_view, name)

        def counted(*arguments: Any) -> Any:
            self.calls[name] += 1
            return function(*arguments)

        self.monkeypatch.setattr(folder_view, name, counted)


def parts_in(run: Command) -> set[str]:
    return set(Store(str(run.out / "test")).part_names())


def once(names: set[str]) -> Counter[str]:
    return Counter(dict.fromkeys(names, 1))


def test_a_repeated_command_reads_each_footer_once_each_part_once_and_plans_once(
    run: Command, monkeypatch: pytest.MonkeyPatch
):
    assert run(*STAGES)[0] == DONE
    parts, counts = parts_in(run), Counts(monkeypatch)
    status, said = run(*STAGES)
    assert status == DONE and "nothing to do: every shard is finished" in said
    assert len(parts) == 2 * PARTS_OF_TWO_SAMPLES
    assert counts.notes == once(parts)
    assert counts.opened == once(parts)  # the footer, and not the samples, whose votes are stored
    assert counts.calls == {"make_plan": 1, "estimates": 1}


def test_a_first_command_reads_new_parts_once_and_plans_before_and_after_generating(
    run: Command, monkeypatch: pytest.MonkeyPatch
):
    counts = Counts(monkeypatch)
    assert run(*STAGES)[0] == DONE
    parts = parts_in(run)
    assert counts.notes == once(parts)
    assert counts.opened == once(parts) + once(parts)
    assert counts.calls == {"make_plan": 2, "estimates": 2}


def test_after_generating_only_the_footers_of_new_parts_are_read(
    run: Command, monkeypatch: pytest.MonkeyPatch
):
    run(*STAGES, samples=2)
    before, counts = parts_in(run), Counts(monkeypatch)
    assert run(*STAGES, samples=4)[0] == DONE
    new = parts_in(run) - before
    assert len(before) == len(new) == PARTS_OF_TWO_SAMPLES
    assert counts.notes == once(before | new)
    assert set(counts.note_order[: len(before)]) == before
    assert counts.opened == once(before | new) + once(before | new)

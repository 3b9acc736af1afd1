"""A bundle is published whole or not at all, and replaces nothing but a bundle."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.s3_server import s3_server

from raysweep.errors import ConfigError, StorageError
from raysweep.storage import bundle
from raysweep.storage.bundle import CHECKSUMS, Entry, write_bundle
from raysweep.storage.files import Folder
from raysweep.storage.store import Store

ROOT = Path(__file__).parents[2]
OLD = {"README.md": "old", "tables/a.csv": "1,2", "gone.txt": "gone"}
NEW = {"README.md": "new", "tables/a.csv": "3,4", "tables/b.csv": "5,6", "more/deep/c": ""}


def entries(contents: Mapping[str, str]) -> list[Entry]:
    return [Entry.of(name, text) for name, text in contents.items()]


def held(folder: Path) -> dict[str, str]:
    """The files of a bundle, whose checksums are those of its files."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    found = {name: (folder / name).read_text() for name in names}
    sums = dict(line.split("  ")[::-1] for line in found.pop(CHECKSUMS).splitlines())
    assert sums == {name: hashlib.sha256(text.encode()).hexdigest() for name, text in found.items()}
    return found


def test_a_bundle_holds_its_files_and_their_checksums(tmp_path: Path):
    target = tmp_path / "deep" / "site"
    assert write_bundle(str(target), entries(OLD), "run") == str(target)
    assert held(target) == OLD
    check = ["sha256sum", "--check", "--quiet", CHECKSUMS]
    subprocess.run(check, cwd=target, check=True)


def test_a_bundle_replaces_the_earlier_one_and_leaves_nothing_of_it(tmp_path: Path):
    target = tmp_path / "site"
    write_bundle(str(target), entries(OLD), "run")
    write_bundle(str(target), entries(NEW), "run")
    assert held(target) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_folders_that_cannot_be_exchanged_are_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bundle, "_exchanged", lambda *_: False)
    test_a_bundle_replaces_the_earlier_one_and_leaves_nothing_of_it(tmp_path)


KILLED = """
import os, signal, sys
from raysweep.storage import bundle
from raysweep.storage.files import Folder
target, act, count, exchange = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "exchange"
bundle.FILES_AT_A_TIME = 1
calls = [0]
def killing(inner, late):
    def call(*arguments, **named):
        calls[0] += 1
        if calls[0] == count and not late:
            os.kill(os.getpid(), signal.SIGKILL)
        result = inner(*arguments, **named)
        if calls[0] == count and late:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call
if not exchange:
    bundle._exchanged = lambda *_: False
if act == "write":
    Folder.write = killing(Folder.write, late=False)
elif act == "rename":
    bundle.Path.rename = killing(bundle.Path.rename, late=True)
else:
    bundle.shutil.rmtree = killing(bundle.shutil.rmtree, late=False)
bundle.write_bundle(target, [bundle.Entry.of(*one) for one in eval(sys.argv[5]).items()], "run")
"""
WRITES = [("write", count, "exchange") for count in range(1, len(NEW) + 2)]
RENAMES = [("rename", 1, "rename"), ("rename", 2, "rename"), ("remove", 1, "exchange")]


@pytest.mark.parametrize(("act", "count", "way"), [*WRITES, *RENAMES])
def test_killed_at_any_moment_one_whole_bundle_is_there_after_the_next_command(
    tmp_path: Path, act: str, count: int, way: str
):
    target = tmp_path / "site"
    write_bundle(str(target), entries(OLD), "run")
    arguments = [str(target), act, str(count), way, repr(NEW)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT)
    assert killed.returncode == -9
    # Only between two renames, on a system without an exchange, is there none for a moment.
    if act == "rename" and count == 1:
        assert not target.exists()
    else:
        assert held(target) == (OLD if act == "write" else NEW)
    write_bundle(str(target), entries(NEW), "run")
    assert held(target) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_an_earlier_bundle_that_was_moved_away_is_put_back_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    target = tmp_path / "site"
    write_bundle(str(target), entries(OLD), "run")
    target.rename(tmp_path / ".site.0.earlier")
    failing = Entry("bad", lambda: "", lambda: (_ for _ in ()).throw(ConfigError("refused")))
    with pytest.raises(ConfigError, match="refused"):
        write_bundle(str(target), [failing], "run")
    assert held(target) == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("name", ["mine.txt", ".git/config", "tables/mine.csv"])
def test_a_folder_with_other_files_is_refused_and_kept(tmp_path: Path, name: str):
    target = tmp_path / "site"
    write_bundle(str(target), entries(OLD), "run")
    mine = target / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(ConfigError, match="is no file of a bundle"):
        write_bundle(str(target), entries(NEW), "run")
    assert mine.read_text() == "mine" and (target / "README.md").read_text() == "old"


def test_a_folder_that_was_never_a_bundle_is_refused(tmp_path: Path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds 'thesis\.tex', which is no file of a bundle"):
        write_bundle(str(tmp_path / "home"), entries(NEW), "run")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "home")
    with pytest.raises(ConfigError, match="is no folder"):
        write_bundle(str(link), entries(NEW), "run")


def test_two_commands_do_not_publish_into_one_folder(tmp_path: Path):
    target = tmp_path / "site"

    def publish_beside() -> bytes:
        with pytest.raises(ConfigError, match="is being written by another command"):
            write_bundle(str(target), entries(OLD), "run")
        return b"data"

    write_bundle(str(target), [Entry("a", lambda: "", publish_beside)], "run")
    assert held(target) == {"a": "data"}


def test_what_does_not_read_back_is_not_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    target, write = tmp_path / "site", Folder.write
    write_bundle(str(target), entries(OLD), "run")
    monkeypatch.setattr(
        Folder, "write", lambda self, name, data: write(self, name, data.replace(b"5", b"6"))
    )
    with pytest.raises(StorageError, match=r"tables/b\.csv does not read back as it was written"):
        write_bundle(str(target), entries(NEW), "run")
    assert held(target) == OLD


def test_in_a_bucket_each_bundle_has_a_folder_of_its_own():
    with s3_server() as s3:
        address = s3.address("published")
        old = write_bundle(address, entries(OLD), "run")
        new = write_bundle(address, entries(NEW), "run")
        assert write_bundle(address, entries(NEW), "run") == new
        for place, contents in ((old, OLD), (new, NEW)):
            store = Store(place)
            sums = dict(line.split("  ")[::-1] for line in store.read_text(CHECKSUMS).splitlines())
            assert {name: store.read_text(name) for name in sums} == contents

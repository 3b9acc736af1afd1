"""The cache of fetched checkpoints: fetched once, bounded, and never removed under a process that uses it."""

import os
import subprocess
import sys
import threading
from fcntl import LOCK_EX, LOCK_NB
from pathlib import Path
from typing import Any

import pytest

from actors import checkpoint_cache
from actors.checkpoint_cache import fetched
from actors.checkpoint_files import local_folder, making
from raysweep.checkpoints.engine_files import MANIFEST
from raysweep.errors import ConfigError
from raysweep.spec import Checkpoint
from raysweep.storage.store import Store

ROOT = Path(__file__).parents[2]
WEIGHTS = 40_000  # bytes per checkpoint, and the few of its configuration
KILLED = """
import os
from pyarrow import fs
fs.copy_files = lambda source, destination: os._exit(9)
"""
USES = """
import sys
from actors.checkpoint_files import local_folder
from raysweep.spec import Checkpoint
print(local_folder(Checkpoint(sys.argv[1], sys.argv[2])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of checkpoints, whose cache is beside it."""
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAYSWEEP_CACHE_GB", raising=False)
    monkeypatch.setattr(checkpoint_cache, "_used", {})
    return tmp_path / "store"


def make(store: Path, name: str) -> Checkpoint:
    checkpoint = Checkpoint(f"file://{store / name}", name)
    with making(checkpoint) as folder:
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"w" * WEIGHTS)
    return checkpoint


def cached(store: Path) -> list[str]:
    """What is in the cache, without the locks."""
    return sorted(
        entry.name for entry in (store.parent / "cache/checkpoints").iterdir() if entry.is_dir()
    )


def use_and_end(checkpoint: Checkpoint) -> None:
    """As a process that uses a checkpoint and ends: its locks end with it."""
    local_folder(checkpoint)
    for lock in checkpoint_cache._used.values():
        os.close(lock)
    checkpoint_cache._used.clear()


def bound(monkeypatch: pytest.MonkeyPatch, checkpoints: float) -> None:
    monkeypatch.setenv("RAYSWEEP_CACHE_GB", str(checkpoints * (WEIGHTS + 2) / 1e9))


def copies(monkeypatch: pytest.MonkeyPatch, before: Any = lambda: None) -> list[str]:
    """The addresses that are copied from now on; `before` is called before each."""
    copied: list[str] = []
    copy_files = checkpoint_cache.fs.copy_files

    def noted(source: str, destination: str) -> None:
        copied.append(source)
        before()
        copy_files(source, destination)

    monkeypatch.setattr(checkpoint_cache.fs, "copy_files", noted)
    return copied


def test_the_cache_is_where_the_environment_says(store):
    assert local_folder(make(store, "a")) == str(store.parent / "cache" / "checkpoints" / "a")


def test_the_cache_is_in_the_home_by_default(monkeypatch):
    monkeypatch.delenv("RAYSWEEP_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert checkpoint_cache.checkpoints() == Path("/home/somebody/.cache/raysweep/checkpoints")


def test_actors_that_start_together_fetch_a_checkpoint_once(store, monkeypatch):
    checkpoint = make(store, "a")
    copied = copies(monkeypatch)
    start = threading.Barrier(8)
    found: list[Path] = []

    def actor() -> None:
        start.wait()
        found.append(fetched(checkpoint))

    # A lock belongs to the opening of its file. So threads exclude each other as processes do.
    actors = [threading.Thread(target=actor) for _ in range(8)]
    for thread in actors:
        thread.start()
    for thread in actors:
        thread.join()
    assert copied == [checkpoint.path]
    assert len(found) == 8 and set(found) == {store.parent / "cache" / "checkpoints" / "a"}


def test_without_a_bound_nothing_is_removed(store):
    for name in "abcd":
        use_and_end(make(store, name))
    assert cached(store) == ["a", "b", "c", "d"]


def test_the_least_recently_used_makes_room(store, monkeypatch):
    bound(monkeypatch, 2)
    a, b, c = (make(store, name) for name in "abc")
    for checkpoint in (a, b, a):
        use_and_end(checkpoint)
    use_and_end(c)
    assert cached(store) == ["a", "c"]
    use_and_end(b)
    assert cached(store) == ["b", "c"]


def test_what_a_running_process_uses_is_kept_until_it_ends(store, monkeypatch):
    bound(monkeypatch, 2)
    a, b, c = (make(store, name) for name in "abc")
    user = subprocess.Popen(
        [sys.executable, "-c", USES, a.path, a.revision],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with user:
        assert user.stdout and user.stdout.readline().endswith("/checkpoints/a\n")
        use_and_end(b)
        use_and_end(c)
        assert cached(store) == ["a", "c"]
        user.kill()  # a process that is killed leaves no lock behind
        user.wait()
    use_and_end(c)
    use_and_end(b)
    assert cached(store) == ["b", "c"]


def test_one_that_finds_no_room_is_told_what_is_in_use_and_takes_nothing(store, monkeypatch):
    bound(monkeypatch, 1.5)
    a, b = make(store, "a"), make(store, "b")
    local_folder(a)
    with pytest.raises(ConfigError, match=r"^RAYSWEEP_CACHE_GB: .* checkpoint b beside .* in use;"):
        local_folder(b)
    assert cached(store) == ["a"]


def test_one_that_another_process_fetches_counts_in_full(store, monkeypatch):
    bound(monkeypatch, 1.5)
    a, b = make(store, "a"), make(store, "b")
    refused = []

    def meanwhile() -> None:
        with pytest.raises(ConfigError, match="RAYSWEEP_CACHE_GB"):
            fetched(b)
        refused.append(b)

    copies(monkeypatch, before=meanwhile)
    local_folder(a)
    assert refused == [b] and cached(store) == ["a"]


def test_nobody_makes_room_while_another_fetch_removes_or_renames(store, monkeypatch):
    changed = []

    def alone(change: Any) -> Any:
        def changing(path: Path, *rest: Path) -> None:
            with pytest.raises(BlockingIOError):
                checkpoint_cache._locked(path.parent / ".room", LOCK_EX | LOCK_NB)
            changed.append(path.name)
            change(path, *rest)

        return changing

    checkpoint = make(store, "a")
    monkeypatch.setattr(checkpoint_cache, "_remove", alone(checkpoint_cache._remove))
    monkeypatch.setattr(Path, "rename", alone(Path.rename))
    local_folder(checkpoint)
    assert changed == ["a", ".a.tmp"]


def test_a_fetch_that_fails_while_another_makes_room_counts_no_more(store, monkeypatch):
    bound(monkeypatch, 1)
    a, b = make(store, "a"), make(store, "b")
    use_and_end(a)

    def gone(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", gone)
    assert Path(local_folder(b)).name == "b"


def test_a_folder_that_a_removal_leaves_is_fetched_into(store, monkeypatch):
    checkpoint = make(store, "a")
    (store.parent / "cache" / "checkpoints" / ".a.tmp").mkdir(parents=True)
    monkeypatch.setattr(checkpoint_cache.shutil, "rmtree", lambda folder, ignore_errors: None)
    assert Path(local_folder(checkpoint), MANIFEST).exists()


@pytest.mark.parametrize("said", ["many", "0", "-1", "nan"])
def test_a_bound_that_is_no_number_of_gb_is_refused(store, monkeypatch, said: str):
    monkeypatch.setenv("RAYSWEEP_CACHE_GB", said)
    with pytest.raises(ConfigError, match=f"RAYSWEEP_CACHE_GB: '{said}' is not a positive number"):
        local_folder(make(store, "a"))
    assert cached(store) == []


def test_what_a_killed_fetch_left_is_removed_by_the_next(store, monkeypatch):
    checkpoint = make(store, "a")
    aside = store.parent / "cache" / "checkpoints" / ".a.tmp"
    aside.mkdir(parents=True)
    (aside / "rest").write_text("of a killed fetch")
    assert not (Path(local_folder(checkpoint)) / "rest").exists()
    assert cached(store) == ["a"]


def test_what_a_killed_fetch_left_makes_room_for_another(store, monkeypatch):
    bound(monkeypatch, 1)
    a, b = make(store, "a"), make(store, "b")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED + USES, a.path, a.revision],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert killed.returncode == 9
    assert cached(store) == [".a.tmp"]
    local_folder(b)
    assert cached(store) == ["b"]


def test_a_failed_fetch_leaves_nothing_and_the_next_one_succeeds(store, monkeypatch):
    checkpoint = make(store, "a")

    def fail() -> None:
        raise OSError("the network is gone")

    with monkeypatch.context() as broken:
        copies(broken, before=fail)
        with pytest.raises(OSError, match="the network is gone"):
            local_folder(checkpoint)
    assert cached(store) == []
    assert Path(local_folder(checkpoint), MANIFEST).exists()


def test_a_damaged_checkpoint_in_the_cache_is_fetched_again(store):
    checkpoint = make(store, "a")
    use_and_end(checkpoint)
    weights = store.parent / "cache" / "checkpoints" / "a" / "model.safetensors"
    weights.write_bytes(b"w")
    use_and_end(checkpoint)
    assert weights.stat().st_size == WEIGHTS


def test_files_that_are_not_those_of_their_manifest_are_refused(store):
    checkpoint = make(store, "a")
    (store / "a" / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(OSError, match="its files are not those of its manifest"):
        local_folder(checkpoint)
    assert cached(store) == []


def test_an_address_without_a_manifest_is_refused(store):
    checkpoint = make(store, "a")
    (store / "a" / MANIFEST).unlink()
    with pytest.raises(Exception, match=MANIFEST):
        local_folder(checkpoint)


def test_a_disk_that_locks_no_files_is_named(store, monkeypatch):
    def flock(lock: int, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(checkpoint_cache, "flock", flock)
    with pytest.raises(
        ConfigError, match=r"RAYSWEEP_CACHE: .* locks no files \(Operation not supp"
    ):
        local_folder(make(store, "a"))


def test_a_store_says_what_a_checkpoint_takes_before_it_is_fetched(store):
    manifest = Store(make(store, "a").path).read_text(MANIFEST)
    assert checkpoint_cache._said_bytes(manifest) == WEIGHTS + len("{}")

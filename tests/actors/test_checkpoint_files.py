"""Checkpoints that raysweep makes: whole or not there, on disks and at addresses."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from actors import checkpoint_files, waits
from actors.checkpoint_files import local_folder, making
from raysweep.checkpoints.engine_files import MANIFEST, is_there
from raysweep.spec import Checkpoint
from raysweep.system import held_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["folder", "address"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Checkpoint:
    """One that lies in a folder, and one at an address, as in an object store: no renaming there."""
    prefix = "" if request.param == "folder" else "file://"
    return Checkpoint(f"{prefix}{tmp_path}/checkpoints/0123", "0123")


def make(checkpoint: Checkpoint, content: str = "weights") -> None:
    with making(checkpoint) as folder:
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_text(content)


def place(checkpoint: Checkpoint) -> Path:
    return Path(checkpoint.path.removeprefix("file://"))


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_what_was_made_is_there_with_a_manifest_and_nothing_beside_it(checkpoint):
    assert not is_there(checkpoint)
    make(checkpoint)
    assert is_there(checkpoint)
    assert names(place(checkpoint)) == ["config.json", "model.safetensors", MANIFEST]
    assert names(place(checkpoint).parent) == ["0123"]


def test_a_failure_leaves_nothing(checkpoint):
    with pytest.raises(FileNotFoundError), making(checkpoint) as folder:
        (folder / "no" / "config.json").write_text("{}")
    assert not place(checkpoint).exists()
    assert not is_there(checkpoint)


def test_what_a_killed_making_left_is_removed_and_what_is_at_work_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(held_folder, "YOUNG_S", 0.0)
    folder = tmp_path / "checkpoints"
    script = (
        "import os, signal; from actors.checkpoint_files import making\n"
        "from raysweep.spec import Checkpoint\n"
        f"with making(Checkpoint({str(folder / '0123')!r}, '0123'), {uuid.uuid4().hex!r}) as aside:\n"
        "    (aside / 'model.safetensors').write_text('half')\n"
        "    print(flush=True); input(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    making_it = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert making_it.stdout is not None
    making_it.stdout.readline()
    (folder / ".mine.tmp").mkdir()
    checkpoint_files.remove_all_leftovers(folder)
    assert len(names(folder)) == 2
    making_it.communicate("\n")
    assert len(names(folder)) == 2
    checkpoint_files.remove_all_leftovers(folder)
    assert names(folder) == [".mine.tmp"]


@pytest.mark.parametrize("damage", ["cut", "missing", "no manifest", "broken manifest"])
def test_a_damaged_checkpoint_is_not_trusted_and_is_made_again(checkpoint, damage):
    make(checkpoint)
    file, manifest = place(checkpoint) / "model.safetensors", place(checkpoint) / MANIFEST
    if damage == "cut":
        file.write_text("wei")
    elif damage == "missing":
        file.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text("{")
    assert not is_there(checkpoint)
    make(checkpoint)
    assert is_there(checkpoint)
    assert file.read_text() == "weights"


def test_of_two_that_are_made_at_a_time_the_first_stays(tmp_path: Path):
    checkpoint = Checkpoint(str(tmp_path / "0123"), "0123")
    with making(checkpoint) as folder:
        (folder / "config.json").write_text("second")
        make(checkpoint)
    assert (tmp_path / "0123" / "config.json").read_text() == "{}"
    assert names(tmp_path) == ["0123"]


def test_a_folder_is_used_where_it_is(tmp_path: Path):
    assert local_folder(Checkpoint(str(tmp_path), "x")) == str(tmp_path)


def test_files_at_an_address_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    checkpoint = Checkpoint(f"file://{tmp_path}/store/0123", "0123")
    make(checkpoint)
    fetched = Path(local_folder(checkpoint))
    assert fetched == tmp_path / "cache" / "checkpoints" / "0123"
    assert names(fetched) == names(place(checkpoint))
    (place(checkpoint) / "model.safetensors").unlink()  # so a second fetch would be noticed
    assert local_folder(checkpoint) == str(fetched)
    assert json.loads((fetched / MANIFEST).read_text())["files"]["model.safetensors"] == 7


def test_files_of_the_hub_are_fetched_at_their_revision(monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub

    asked: dict = {}

    def snapshot_download(repository: str, **options) -> str:
        asked.update(options, repository=repository)
        return "/cache/snapshot"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert local_folder(Checkpoint("hf://Qwen/Qwen3-8B", "b968")) == "/cache/snapshot"
    assert (asked["repository"], asked["revision"]) == ("Qwen/Qwen3-8B", "b968")
    assert not any(pattern.endswith((".bin", ".pt", ".py")) for pattern in asked["allow_patterns"])


def test_what_is_fetched_is_waited_for_and_what_is_there_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clock = [0.0]

    def fetch(*what: object, **more: object) -> str:
        clock[0] += 600.0
        return str(tmp_path)

    monkeypatch.setattr(waits.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    monkeypatch.setattr(checkpoint_files, "fetched", fetch)
    before = waits.waited_s()
    for path, waited in (
        (str(tmp_path), 0),
        ("hf://someone/model", 600),
        ("s3://some/model", 1200),
    ):
        assert local_folder(Checkpoint(path, "0123")) == str(tmp_path)
        assert waits.waited_s() - before == waited

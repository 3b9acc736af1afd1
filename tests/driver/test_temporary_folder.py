"""A folder for temporary files in which no socket can be made is replaced as long as Ray runs."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from ray._private import worker
from support.nouns import a_cluster

from raysweep.driver import temporary_folder
from raysweep.driver.ray_session import ray_session
from raysweep.driver.temporary_folder import MOST_BYTES, private_folder, short_temporary_folder
from raysweep.errors import ConfigError
from raysweep.system import held_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in temporary_folder.VARIABLES:
        monkeypatch.delenv(name, raising=False)


def of_length(length: int, folder: Path) -> str:
    """A new folder whose path has that many characters."""
    name = f"{folder}/".ljust(length, "x")
    assert len(name) == length
    os.mkdir(name)
    return name


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_long_path_is_replaced_by_a_private_folder_that_is_then_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    long = of_length(200, tmp_path)
    monkeypatch.setenv(name, long)
    with short_temporary_folder():
        short = os.environ[name]
        assert len(short + temporary_folder.BELOW) <= MOST_BYTES
        assert stat.S_IMODE(os.stat(short).st_mode) == 0o700
        Path(short, "session").mkdir()
    assert os.environ[name] == long
    assert not Path(short).exists()


@pytest.mark.parametrize("value", ["", "/tmp"])
def test_a_short_path_is_kept(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("TMPDIR", value)
    with short_temporary_folder():
        assert os.environ["TMPDIR"] == value


@pytest.mark.parametrize("value", ["tmp", "/nowhere"])
def test_a_folder_that_is_relative_or_missing_is_replaced(
    monkeypatch: pytest.MonkeyPatch, value: str
):
    monkeypatch.setenv("TMPDIR", value)
    with short_temporary_folder():
        assert os.path.isdir(os.environ["TMPDIR"])
    assert os.environ["TMPDIR"] == value


def test_without_any_short_folder_the_variable_and_the_way_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(temporary_folder, "SHORT", ("/nowhere",))
    monkeypatch.setenv("TMPDIR", of_length(120, tmp_path))
    with (
        pytest.raises(
            ConfigError, match=r"^TMPDIR: .* set TMPDIR to a writable folder of at most 39"
        ),
        short_temporary_folder(),
    ):
        pass


def test_a_private_folder_is_for_this_user_alone_and_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(temporary_folder, "SHORT", (str(tmp_path),))
    monkeypatch.setattr(temporary_folder, "MOST_BYTES", 200)
    with private_folder() as folder:
        above = Path(folder).parent
        assert above.parent == tmp_path and stat.S_IMODE(above.stat().st_mode) == 0o700
        Path(folder, "session").mkdir(parents=True)
    assert list(tmp_path.iterdir()) == []


def test_private_folders_of_killed_drivers_are_removed_and_those_of_running_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(temporary_folder, "SHORT", (str(tmp_path),))
    monkeypatch.setattr(temporary_folder, "MOST_BYTES", 200)
    monkeypatch.setattr(held_folder, "YOUNG_S", 0.0)
    script = (
        "import os, signal; from raysweep.driver import temporary_folder as t\n"
        f"t.SHORT, t.MOST_BYTES = ({str(tmp_path)!r},), 200\n"
        "with t.private_folder() as folder:\n"
        "    print(folder, flush=True); input(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    theirs = Path(running.stdout.readline().strip()).parent
    with private_folder():
        assert theirs.is_dir()
    running.communicate("\n")
    assert theirs.is_dir()
    with private_folder():
        assert not theirs.exists()


@pytest.mark.slow
def test_a_private_ray_keeps_its_files_in_a_private_folder_and_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with ray_session(a_cluster(actors=1)):
        node = worker._global_node
        assert node is not None
        folder = Path(node.get_temp_dir_path())
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        assert list(folder.glob("session_*/sockets/plasma_store"))
    assert not folder.parent.exists()


@pytest.mark.slow
def test_a_local_ray_runs_where_the_path_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    long = of_length(190, tmp_path)
    monkeypatch.setenv("TMPDIR", long)
    with ray_session(a_cluster(actors=1)):
        there = ray.get(ray.remote(os.getenv).remote("TMPDIR")) or ""
        assert 0 < len(there) < len(long)
    assert not Path(there).exists()

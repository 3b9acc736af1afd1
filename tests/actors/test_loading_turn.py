"""Engines that share a GPU load one at a time, and none waits for a process that is dead."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from actors import waits
from actors.vllm_engine import loading_turn
from actors.vllm_engine.loading_turn import own_folder, turn

GPU = "GPU-0f1e"
SOON_S = 30.0


def hold(folder: Path, holds: Event) -> None:
    with turn(GPU, folder):
        holds.set()
        signal.pause()


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that loads on the GPU."""
    context = multiprocessing.get_context("spawn")
    holds = context.Event()
    process = context.Process(target=hold, args=(tmp_path, holds))
    process.start()
    assert holds.wait(SOON_S)
    yield process
    process.kill()
    process.join()


def started(folder: Path, gpu: str = GPU) -> tuple[threading.Thread, threading.Event]:
    """An engine that waits for its turn, and whether it had it."""
    loaded = threading.Event()

    def load() -> None:
        with turn(gpu, folder):
            loaded.set()

    thread = threading.Thread(target=load)
    thread.start()
    return thread, loaded


def test_an_engine_waits_until_the_other_has_loaded_and_says_so(
    holder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said = threading.Event()
    monkeypatch.setattr(loading_turn, "LOOK_S", 0.01)
    monkeypatch.setattr(loading_turn, "SAY_S", 0.0)
    monkeypatch.setattr(loading_turn.log, "warning", lambda *words: said.set())
    waited_s = waits.waited_s()
    thread, loaded = started(tmp_path)
    assert said.wait(SOON_S) and not loaded.is_set()
    os.kill(holder.pid, signal.SIGKILL)  # the kernel gives the turn on
    assert loaded.wait(SOON_S)
    thread.join()
    assert waits.waited_s() > waited_s


def test_engines_on_different_gpus_load_at_the_same_time(holder, tmp_path: Path):
    thread, loaded = started(tmp_path, "GPU-another")
    assert loaded.wait(SOON_S)
    thread.join()


def test_the_turn_is_given_on_after_a_failed_load(tmp_path: Path):
    with pytest.raises(MemoryError), turn(GPU, tmp_path):
        raise MemoryError
    thread, loaded = started(tmp_path)
    assert loaded.wait(SOON_S)
    thread.join()


def test_the_folder_of_the_locks_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loading_turn.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = own_folder()
    assert folder == own_folder() and folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to("/", target_is_directory=True)
    with pytest.raises(PermissionError, match="another user"):
        own_folder()

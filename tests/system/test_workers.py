"""Worker processes: calls from any thread, and workers that hang, die or lose their parent."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep import grading
from raysweep.grading import Graded, Said
from raysweep.system.workers import CallError, Workers

SPIN = "support.worker_calls:spin"
CALLS = str(Path(__file__).parents[1])


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as pool:
        yield pool


@pytest.fixture(autouse=True)
def _calls_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", CALLS)


def test_a_call_may_come_from_any_thread(workers: Workers):
    found: list[str] = []

    def grade() -> None:
        said = Said(r"\boxed{\frac{2\pi}{\pi}}", True, "2")
        found.append(grading.grade("mathematics", said, workers).outcome)

    threads = [threading.Thread(target=grade) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["correct"] * 3


def test_an_answer_that_takes_too_long_is_an_error_and_the_next_one_is_graded(
    monkeypatch: pytest.MonkeyPatch, workers: Workers
):
    endless = grading.Grader(1, lambda text, ended: text, lambda a, g: None, SPIN, cpu_s=0.3)
    monkeypatch.setitem(grading.GRADERS, "endless", endless)
    assert grading.grade("endless", Said("x", True, "1"), workers) == Graded(None, "error")
    said = Said(r"\boxed{\frac{\sqrt{4}}{2}}", True, "1")
    assert grading.grade("mathematics", said, workers) == Graded("1", "correct")


@pytest.mark.parametrize("hang", ["spin", "hold_the_interpreter", "crash", "leave"])
def test_a_worker_that_hangs_or_dies_is_replaced(hang: str):
    with Workers(1) as pool:
        with pytest.raises(CallError):
            pool.call(f"support.worker_calls:{hang}", "x", "y", cpu_s=0.3)
        assert pool.call("support.worker_calls:echo", "x", "y") == ["x", "y"]


def test_a_worker_that_sleeps_is_replaced_too():
    with Workers(1) as pool:
        with pytest.raises(CallError, match="no reply within"):
            pool.call("support.worker_calls:sleep", "x", "y", cpu_s=0.1)
        assert pool.call("support.worker_calls:echo", "x", "y") == ["x", "y"]


def test_a_call_is_held_to_its_memory_and_the_next_one_is_not():
    with Workers(1) as pool:
        with pytest.raises(CallError, match=r"^MemoryError$"):
            pool.call("support.worker_calls:hoard", "x", "y", memory_bytes=1 << 30)
        assert pool.call("support.worker_calls:hoard", "x", "y") == 2 << 30


def test_what_a_call_raises_or_prints_is_told_apart_from_what_it_returns():
    with Workers(1) as pool:
        with pytest.raises(CallError, match="KeyError: 'x'"):
            pool.call("support.worker_calls:fail", "x", "y")
        assert pool.call("support.worker_calls:chatter", "x", "y") == "quiet"


@pytest.mark.parametrize("busy", ["sleep", "spin", "hold_the_interpreter"])
def test_a_worker_does_not_outlive_a_parent_that_is_killed(busy: str):
    program = f"""
import threading
from raysweep.system.workers import Workers
pool = Workers(1)
print(pool.call("support.worker_calls:process_id", "x", "y"), flush=True)
pool.call("support.worker_calls:{busy}", "x", "y", cpu_s=1)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 20
    while running(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not running(worker)


def running(process_id: int) -> bool:
    try:
        with open(f"/proc/{process_id}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False

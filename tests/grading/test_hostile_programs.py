"""Programs that do what they should not: contained, wrong, and the next answer is graded."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.program_cases import DOUBLE, DOUBLED, gold_of, needs_bubblewrap, outcome

from raysweep.grading import Said, sandbox, system_calls
from raysweep.system.workers import Workers


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as pool:
        yield pool


def hostile(folder: Path, port: int) -> dict[str, str]:
    """Programs that print 42, as the test expects, once they have done what they should not."""
    return {
        "endless loop": "while True: pass",
        "sleep": "import time\ntime.sleep(600)",
        "fork bomb": """
import os
for _ in range(200):
    if os.fork() == 0:
        while True: pass
print(42)""",
        "threads": """
import threading, time
for _ in range(200):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print(42)""",
        "10 GB": "held = bytearray(10 << 30)\nprint(42)",
        "file outside": f"open({str(folder / 'outside')!r}, 'w').write('x')\nprint(42)",
        "file in the system": "open('/usr/raysweep-outside', 'w').write('x')\nprint(42)",
        "secret file": f"print(open({str(folder / 'secret')!r}).read())",
        "huge file": "open('/tmp/huge', 'w').write('x' * (100 << 20))\nprint(42)",
        "many files": """
for i in range(20):
    open(f'/tmp/{i}', 'w').write('x' * (8 << 20))
print(42)""",
        "huge output": "while True: print('x' * 1000000)",
        "connection": f"""
import socket
socket.create_connection(("127.0.0.1", {port}), 2).send(b"x")
print(42)""",
        "killing its parent": """
import os, signal
os.kill(os.getppid(), signal.SIGKILL)
os.kill(1, signal.SIGKILL)
os.killpg(0, signal.SIGKILL)""",
        "killing everything": "import os\nos.kill(-1, 9)",
        "becoming root": "import os\nos.setuid(0)\nprint(42)",
        "raising its limits": """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))
print(42)""",
        "user namespace": f"""
import os, ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(4, 1, 0, 0, 0)
if libc.unshare({0x10000000 | 0x00020000}) == 0:
    print(42)""",
        "user namespace by clone": f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
number = {{"x86_64": 56, "aarch64": 220}}[os.uname().machine]
if libc.syscall(number, {0x10000000 | 17}, 0, 0, 0, 0) >= 0:
    print(42)""",
        "600 MB of shared memory": """
for number in range(60):
    with open(f"/dev/shm/{number}", "wb") as file:
        file.write(bytes(10 << 20))
print(42)""",
        "600 MB in /dev": """
for number in range(60):
    with open(f"/dev/{number}", "wb") as file:
        file.write(bytes(10 << 20))
print(42)""",
        "600 MB without a name": """
import os
held = [os.memfd_create(str(number)) for number in range(60)]
for file in held:
    os.write(file, bytes(10 << 20))
print(42)""",
        "600 MB of segments": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if all(libc.shmget(0, 100 << 20, 0o1600) >= 0 for _ in range(6)):
    print(42)""",
        "memory in children": """
import os, time
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(500 << 20)
        time.sleep(600)
time.sleep(0.5)
print(42)""",
        "environment": "import os\nprint(os.environ['RAYSWEEP_TEST_SECRET'])",
    }


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        yield listening


@needs_bubblewrap
@pytest.mark.parametrize("deed", hostile(Path("/"), 0))
def test_a_hostile_program_is_contained_and_the_next_answer_is_graded(
    deed: str,
    tmp_path: Path,
    listener: socket.socket,
    workers: Workers,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("RAYSWEEP_TEST_SECRET", "42")
    (tmp_path / "secret").write_text("42")
    program = hostile(tmp_path, listener.getsockname()[1])[deed]
    before = program_processes()
    assert outcome(program, gold_of([("", "42")], limit_s=1), workers) in ("wrong", "error")
    assert outcome(DOUBLE, gold_of(DOUBLED), workers) == "correct"
    assert not (tmp_path / "outside").exists()
    assert not Path("/usr/raysweep-outside").exists()
    with pytest.raises(TimeoutError):
        listener.accept()
    wait_until(lambda: program_processes() <= before)


def program_processes() -> set[str]:
    """Ids of the processes in which programs are run."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it is over
            if b"sandboxed.py" in (process / "cmdline").read_bytes():
                found.add(process.name)
    return found


def wait_until(true: Callable[[], bool], wall_s: float = 5, pause_s: float = 0.05) -> None:
    end = time.monotonic() + wall_s
    while not true():
        assert time.monotonic() < end
        time.sleep(pause_s)


@needs_bubblewrap
@pytest.mark.parametrize("processes", [1, 2, 3])  # of bubblewrap and the program, when it happens
def test_a_program_does_not_outlive_those_who_grade_it(processes: int):
    sleeper = outcome_program("import time\ntime.sleep(600)")
    before = program_processes()
    parent = subprocess.Popen([sys.executable, "-c", sleeper])
    wait_until(lambda: len(program_processes() - before) >= processes, wall_s=20, pause_s=0.001)
    parent.kill()
    parent.wait()
    wait_until(lambda: program_processes() <= before)


def outcome_program(program: str, limit_s: float = 60) -> str:
    """A program that grades a program, in a worker."""
    said = Said(f"```python\n{program}\n```", True, gold_of([("", "")], limit_s=limit_s))
    return f"""
from raysweep import grading
from raysweep.system.workers import Workers
grading.grade("code", grading.Said{tuple(said)!r}, Workers(1))
"""


@pytest.mark.parametrize("deed", ["file outside", "secret file", "connection"])
def test_the_same_programs_succeed_where_nothing_contains_them(
    deed: str, tmp_path: Path, listener: socket.socket
):
    (tmp_path / "secret").write_text("42")
    program = hostile(tmp_path, listener.getsockname()[1])[deed]
    ran = sandbox.run_program(program, "", None, 5, isolated=False)
    assert ran.output == "42\n"


@needs_bubblewrap
def test_a_program_sees_no_more_of_the_file_system_than_the_system_and_python():
    ran = sandbox.run_program(
        "import os\nprint(*os.listdir('/'), *os.listdir('/tmp'))", "", None, 5
    )
    shown = [Path(path) for path in (*sandbox.SYSTEM, sys.prefix, sys.base_prefix)]
    system = {path.parts[1] for path in shown}
    system |= {path.parts[2] for path in shown if path.is_relative_to("/tmp")}
    assert set((ran.output or "?").split()) <= system | {
        *("dev", "proc", "program", "sandboxed.py", "tmp")
    }
    home = sandbox.run_program(f"import os\nprint(os.path.exists({__file__!r}))", "", None, 5)
    assert home.output == "False\n"


def resident_bytes(processes: set[str]) -> int:
    """Memory that processes hold, each page counted once."""
    held = 0
    for process in processes:
        with suppress(OSError):  # it is over
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                held += int(line.split()[1]) * 1024 if line.startswith("Pss:") else 0
    return held


GREEDY = """
import os, threading, time
held = []
def take():
    while True:
        try:
            held.append(bytearray(b"x" * (20 << 20)))
        except MemoryError:
            time.sleep(0.01)
threading.stack_size(1 << 20)
for _ in range(4):
    threading.Thread(target=take, daemon=True).start()
for _ in range(40):
    try:
        if os.fork() == 0: take()
    except OSError:
        time.sleep(0.01)
time.sleep(600)
"""


@needs_bubblewrap
def test_all_that_a_program_starts_holds_no_more_memory_than_its_limit():
    before, most = program_processes(), 0
    grading = subprocess.Popen([sys.executable, "-c", outcome_program(GREEDY, limit_s=3)])
    while grading.poll() is None:
        most = max(most, resident_bytes(program_processes() - before))
        time.sleep(0.02)
    assert sandbox.MEMORY_BYTES // 2 < most <= 1.05 * sandbox.MEMORY_BYTES


@needs_bubblewrap
def test_a_program_may_use_threads_and_semaphores():
    program = """
import multiprocessing, threading
lock, found = multiprocessing.Lock(), []
def add(number):
    with lock: found.append(number)
threads = [threading.Thread(target=add, args=(number,)) for number in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum(found))"""
    assert sandbox.run_program(program, "", None, 5).output == "3\n"


def test_the_filter_of_system_calls_ends_each_jump_inside_itself(monkeypatch: pytest.MonkeyPatch):
    for name in system_calls.MACHINES:
        monkeypatch.setattr(system_calls.platform, "machine", lambda name=name: name)
        program = system_calls.seccomp_filter()
        assert program is not None and len(program) % 8 == 0 and len(program) < 4096
    monkeypatch.setattr(system_calls.platform, "machine", lambda: "abacus")
    assert system_calls.seccomp_filter() is None


@needs_bubblewrap
def test_a_call_that_never_returns_from_the_depth_ends_as_a_failed_program():
    deep = "import sys, functools\nsys.setrecursionlimit(10**9)\n"
    endless = "@functools.cache\ndef f(n):\n    return f(n + 1)\nf(0)\n"
    assert sandbox.run_program(deep + endless, "", None, 10).output is None


@needs_bubblewrap
def test_what_a_function_writes_to_standard_output_is_no_result():
    forged = "import os\ndef f():\n    os.write(1, b'42')\n    os._exit(0)\n"
    assert sandbox.run_program(forged, "", "f", 5).output == ""

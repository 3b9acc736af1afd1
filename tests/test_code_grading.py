"""Programs as answers: which block counts, how tests are run, and what hostile programs can do: nothing."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from raysweep import grading
from raysweep.errors import ConfigError
from raysweep.grading import Graded, Nothing, Said, code, sandbox
from raysweep.workers import Workers

DOUBLE = "print(2 * int(input()))"
DOUBLED = [("21", "42\n"), ("0\n", "0")]

needs_bubblewrap = pytest.mark.skipif(
    bool(sandbox.trouble()), reason=f"no sandbox by bubblewrap: {sandbox.trouble()}"
)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as pool:
        yield pool


def gold_of(pairs: list[tuple[str, str]], **more: object) -> str:
    """A gold answer."""
    return json.dumps({"tests": [{"input": i, "output": o} for i, o in pairs], **more})


def outcome(program: str, gold: str, workers: Workers, grader: str = "code") -> str:
    said = Said(f"Here it is.\n```python\n{program}\n```\n", True, gold)
    return grading.grade(grader, said, workers).outcome


# Which block


@pytest.mark.parametrize(
    ("text", "ended", "program"),
    [
        ("```python\na\n```", True, "a\n"),
        ("```python\na\n```", False, "a\n"),
        ("```python\na\n```\nor\n```python\nb\n```\n", True, "b\n"),
        ("```python\na\n```\nIt prints\n```\n42\n```", True, "a\n"),
        ("```\na\n```", True, "a\n"),
        ("```Python3\na\n```", True, "a\n"),
        ("```py\na\n\nb\n```", True, "a\n\nb\n"),
        ("```python\na", True, "a"),
        ("```python\na", False, Nothing.CUT_OFF),
        ("```python\na\n```\nbetter:\n```python\nb", False, Nothing.CUT_OFF),
        ("```python\n", False, Nothing.CUT_OFF),
        ("```python\n```", True, Nothing.UNANSWERED),
        ("```cpp\nint a;\n```", True, Nothing.UNANSWERED),
        ("print(1)", True, Nothing.UNANSWERED),
        ("", True, Nothing.UNANSWERED),
        ("", False, Nothing.CUT_OFF),
    ],
)
def test_the_last_whole_python_block_is_the_program(text: str, ended: bool, program: str | Nothing):
    assert code.extract(text, ended) == program


def test_programs_that_differ_in_layout_and_comments_are_one_answer():
    assert code.name_of("a=1 # one\n") == code.name_of("a = 1")
    assert code.name_of("a = 1") != code.name_of("a = 2")
    assert code.name_of("not Python") == code.name_of("not Python\n")


@pytest.mark.parametrize(
    "gold",
    [
        "42",
        "[]",
        "{}",
        '{"tests": []}',
        '{"tests": [{"input": "1"}]}',
        '{"tests": [{"input": 1, "output": 1}]}',
    ],
)
def test_a_gold_answer_that_is_no_tests_is_refused(gold: str):
    with pytest.raises(ValueError, match="tests"):
        code.check_gold(gold)


# Running tests


@needs_bubblewrap
@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (DOUBLE, "correct"),
        ("print(42)", "wrong"),
        ("print(2 * int(input())", "wrong"),  # a syntax error
        ("raise ValueError", "wrong"),
        (f"{DOUBLE}\nimport sys\nsys.exit(1)", "wrong"),
        ("", "unanswered"),
        ("import json, collections, heapq, bisect, itertools, math\n" + DOUBLE, "correct"),
        ("def f(n):\n    return 0 if n == 0 else 2 + f(n - 1)\nprint(f(int(input())))", "correct"),
        ("if __name__ == '__main__':\n    " + DOUBLE, "correct"),
    ],
)
def test_a_program_is_right_if_it_prints_what_every_test_expects(
    program: str, expected: str, workers: Workers
):
    assert outcome(program, gold_of(DOUBLED), workers) == expected


@needs_bubblewrap
@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("def join(a, b):\n    return a + b", "correct"),
        ("class Solution:\n    def join(self, a, b):\n        return a + b", "correct"),
        ("def join(a, b):\n    print('thinking')\n    return a + b", "correct"),
        ("def join(a, b):\n    return b + a", "wrong"),
        ("def join(a):\n    return a", "wrong"),
        ("def other(a, b):\n    return a + b", "wrong"),
        ("import os\nos._exit(0)", "wrong"),
    ],
)
def test_a_function_is_right_if_it_returns_what_every_test_expects(
    program: str, expected: str, workers: Workers
):
    gold = gold_of([("[1]\n[2, 3]", "[1,2,3]"), ('"a"\n"b"', '"ab"')], function="join")
    assert outcome(program, gold, workers) == expected


# Hostile programs


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
    before, started = program_processes(), time.monotonic()
    assert outcome(program, gold_of([("", "42")], limit_s=1), workers) in ("wrong", "error")
    assert time.monotonic() - started < 20
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


def wait_until(true: Callable[[], bool], wall_s: float = 5) -> None:
    end = time.monotonic() + wall_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


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
    system = {Path(path).parts[1] for path in (*sandbox.SYSTEM, sys.prefix, sys.base_prefix)}
    assert set((ran.output or "?").split()) <= system | {
        *("dev", "proc", "program", "sandboxed.py", "tmp")
    }
    home = sandbox.run_program(f"import os\nprint(os.path.exists({__file__!r}))", "", None, 5)
    assert home.output == "False\n"


# Without a sandbox


def test_without_bubblewrap_programs_are_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    sandbox.trouble.cache_clear()
    with pytest.raises(ConfigError) as raised:
        grading.GRADERS["code"].check_place("sweep.benchmarks[0].grader")
    assert str(raised.value).startswith("sweep.benchmarks[0].grader: programs that a model wrote")
    assert "apt-get install bubblewrap" in str(raised.value)
    assert "code_unsandboxed" in str(raised.value)
    grading.GRADERS["code_unsandboxed"].check_place("sweep.benchmarks[0].grader")
    sandbox.trouble.cache_clear()


def test_a_sandbox_that_does_not_start_is_an_error_not_a_wrong_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho no namespaces >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sandbox, "BWRAP", str(broken))
    with pytest.raises(sandbox.SandboxError, match="no namespaces"):
        sandbox.run_program("print(1)", "", None, 5)
    sandbox.trouble.cache_clear()
    with pytest.raises(ConfigError, match="no namespaces"):
        sandbox.check("field")
    sandbox.trouble.cache_clear()


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (DOUBLE, "correct"),
        ("print(1)", "wrong"),
        ("while True: pass", "wrong"),
        ("held = bytearray(10 << 30)\nprint(42)", "wrong"),
    ],
)
def test_at_the_users_word_programs_run_with_limits_alone(
    program: str, expected: str, workers: Workers
):
    gold = gold_of([("21", "42")], limit_s=1)
    assert outcome(program, gold, workers, "code_unsandboxed") == expected


def test_a_program_is_named_in_the_vote(workers: Workers):
    said = Said(f"```python\n{DOUBLE}\n```", True, gold_of([("21", "42")]))
    graded = grading.grade("code_unsandboxed", said, workers)
    assert graded == Graded(code.name_of(DOUBLE), "correct")

"""Programs as answers: what tests are, how they are run, and where they are not."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.program_cases import DOUBLE, DOUBLED, gold_of, needs_bubblewrap, outcome

from raysweep import grading
from raysweep.errors import ConfigError
from raysweep.grading import Graded, Said, code, sandbox
from raysweep.system.workers import Workers


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as pool:
        yield pool


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
        '{"tests": [{"input": "1", "output": "1"}], "float_tolerance": "1e-6"}',
        '{"tests": [{"input": "1", "output": "1"}], "float_tolerance": true}',
        '{"tests": [{"input": "1", "output": "1"}], "float_tolerance": -1}',
        '{"tests": [{"input": "1", "output": "1"}], "float_tolerance": NaN}',
    ],
)
def test_a_gold_answer_that_is_no_tests_is_refused(gold: str):
    with pytest.raises(ValueError, match=r"test|float_tolerance"):
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

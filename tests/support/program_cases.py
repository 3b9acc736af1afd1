"""A program, its tests, and how tests of grading ask for their outcome."""

import json

import pytest

from raysweep import grading
from raysweep.grading import Said, sandbox
from raysweep.system.workers import Workers

DOUBLE = "print(2 * int(input()))"
DOUBLED = [("21", "42\n"), ("0\n", "0")]

needs_bubblewrap = pytest.mark.skipif(
    bool(sandbox.trouble()), reason=f"no sandbox by bubblewrap: {sandbox.trouble()}"
)


def gold_of(pairs: list[tuple[str, str]], **more: object) -> str:
    """A gold answer."""
    return json.dumps({"tests": [{"input": i, "output": o} for i, o in pairs], **more})


def fenced(program: str, mark: str = "python") -> str:
    """A block, on lines of its own."""
    return f"\n```{mark}\n{program.rstrip()}\n```\n"


def outcome(program: str, gold: str, workers: Workers, grader: str = "code") -> str:
    said = Said(f"Here it is.{fenced(program)}", True, gold)
    return grading.grade(grader, said, workers).outcome


def prints(program: str, written: str, expected: str, workers: Workers, **more: object) -> str:
    """The outcome of a program that is given `written` and should print `expected`."""
    return outcome(program, gold_of([(written, expected)], **more), workers)


def returns(
    body: str, arguments: str, expected: str, workers: Workers, before: str = "", **more: object
) -> str:
    """The outcome of a Solution whose method f has that body, and should return `expected`."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    program = f"{before}\nclass Solution:\n    def f(self, *given):\n{lines}\n"
    return outcome(program, gold_of([(arguments, expected)], function="f", **more), workers)

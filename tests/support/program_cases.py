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


def outcome(program: str, gold: str, workers: Workers, grader: str = "code") -> str:
    said = Said(f"Here it is.\n```python\n{program}\n```\n", True, gold)
    return grading.grade(grader, said, workers).outcome

"""Programs: the last fenced block of Python, right if it passes every test.

A gold answer is tests, in the form of `raysweep.benchmarks.code_tests`. Without a function a test's input
is what the program reads and its output what it prints; with one the input's lines are the arguments in
JSON, and the output the result.

Programs that fail their tests differ as votes unless they differ in layout and comments only.
"""

import ast
import hashlib
import json
import re
from decimal import Decimal, InvalidOperation

from raysweep.benchmarks.code_tests import read_tests
from raysweep.grading.outcomes import Nothing, nothing
from raysweep.grading.sandbox import run_program

FENCE = re.compile(
    r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)(^[ \t]*```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
PYTHON = ("python", "py", "python3", "")
LIMIT_S = 6.0


def extract(text: str, ended: bool) -> str | Nothing:
    """The last block marked as Python, else the last one without a mark; it must be closed or final."""
    blocks = [found.groups() for found in FENCE.finditer(text)]
    whole = [
        (mark.lower(), code) for mark, code, close in blocks if (close or ended) and code.strip()
    ]
    cut = bool(blocks) and not blocks[-1][2]
    if not ended and cut:
        return Nothing.CUT_OFF
    marked = [code for mark, code in whole if mark in PYTHON[:-1]]
    plain = [code for mark, code in whole if not mark]
    return (marked or plain or [nothing(ended)])[-1]


def check_gold(gold: str) -> None:
    """Raise ValueError unless the gold answer is tests."""
    read_tests(gold)


def judge(answer: str, gold: str) -> None:
    """Only running the tests tells."""


def grade(program: str, gold: str) -> tuple[str, str]:
    """(name of the program, outcome); for a worker process. Raises SandboxError."""
    return name_of(program), "correct" if passes(program, gold, isolated=True) else "wrong"


def grade_unsandboxed(program: str, gold: str) -> tuple[str, str]:
    """The same with limits of time, memory and file size alone: at the user's word."""
    return name_of(program), "correct" if passes(program, gold, isolated=False) else "wrong"


def passes(program: str, gold: str, isolated: bool) -> bool:
    """Whether all tests pass; the first that fails is the last that is run."""
    asked = read_tests(gold)
    limit_s = LIMIT_S if asked.limit_s is None else asked.limit_s
    same = same_result if asked.function else same_text
    for test in asked.tests:
        ran = run_program(program, test.input, asked.function, limit_s, isolated)
        if ran.output is None or not same(ran.output, test.output):
            return False
    return True


def same_text(said: str, expected: str) -> bool:
    """Equal line by line, spaces at the ends aside; numbers are equal by value."""
    ours, theirs = said.strip().splitlines(), expected.strip().splitlines()
    return len(ours) == len(theirs) and all(map(same_line, ours, theirs))


def same_line(said: str, expected: str) -> bool:
    if said.strip() == expected.strip():
        return True
    try:
        ours, theirs = ([Decimal(word) for word in line.split()] for line in (said, expected))
    except InvalidOperation:
        return False
    return ours == theirs


def same_result(said: str, expected: str) -> bool:
    """Equal as JSON."""
    try:
        return json.loads(said) == json.loads(expected)
    except ValueError:
        return False


def name_of(program: str) -> str:
    """A hash of what the program says, without layout and comments where it can be parsed."""
    try:
        said = ast.dump(ast.parse(program))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        said = program.strip()
    return hashlib.blake2b(said.encode(errors="replace"), digest_size=8).hexdigest()

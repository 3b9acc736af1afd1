"""Programs: the last fenced block that solves the question, right if it passes every test.

A gold answer is tests, in the form of `raysweep.benchmarks.code_tests`. Without a function a test's input
is what the program reads and its output what it prints; with one the input is the arguments in JSON, and
the output the result. Which block is graded is told by `code_blocks`, and how results are compared by
`code_results`.

Programs that fail their tests differ as votes unless they differ in layout and comments only.
"""

import ast
import hashlib
from functools import lru_cache

from raysweep.benchmarks.code_tests import read_function, read_tests
from raysweep.grading.code_blocks import find_blocks, solution
from raysweep.grading.code_results import same_result, same_text
from raysweep.grading.judge_names import imports_for
from raysweep.grading.outcomes import Nothing, nothing
from raysweep.grading.sandbox import run_program

LIMIT_S = 6.0
function_of = lru_cache(256)(read_function)  # once per question: tests may be many megabytes


def extract(text: str, ended: bool, gold: str = "") -> str | Nothing:
    """The last block of Python that solves the question by itself, else the last one marked as Python,
    else the last one without a mark; it must be closed or final.
    """
    blocks = [block for block in find_blocks(text) if block.may_be_python]
    if not ended and blocks and not blocks[-1].closed:
        return Nothing.CUT_OFF
    programs = [block for block in blocks if block.code.strip()]
    if len(programs) < 2:
        return programs[0].code if programs else nothing(ended)
    return solution(programs, function_of(gold) if gold else None).code


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
    given = imports_for(program)
    for test in asked.tests:
        ran = run_program(program, test.input, asked.function, limit_s, isolated, given)
        if ran.output is None or not same(ran.output, test.output, asked.float_tolerance):
            return False
    return True


def name_of(program: str) -> str:
    """A hash of what the program says, without layout and comments where it can be parsed."""
    try:
        said = ast.dump(ast.parse(program))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        said = program.strip()
    return hashlib.blake2b(said.encode(errors="replace"), digest_size=8).hexdigest()

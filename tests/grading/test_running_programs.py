"""What a program and a function find when they run: the judge's names, streams, a module, a deep stack."""

from collections.abc import Iterator

import pytest
from support.program_cases import fenced, gold_of, needs_bubblewrap, outcome, prints, returns

from raysweep import grading
from raysweep.grading import Said
from raysweep.system.workers import Workers

pytestmark = needs_bubblewrap

DATACLASS = """from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Point:
    x: int
"""
DEEP = """import sys
sys.setrecursionlimit(10**6)
def f(n):
    return 0 if n == 0 else 1 + f(n - 1)
"""


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as pool:
        yield pool


@pytest.mark.parametrize(
    "program",
    [
        "n = input()\nimport sys\nprint(sys.stdin.read(), end='')",
        "import sys\nlines = sys.stdin.buffer.read()\nsys.stdout.buffer.write(lines[2:])",
        "import os\nos.write(1, os.read(0, 99)[2:])",
        "print(open(0).read()[2:])",
        "print(open('/dev/stdin').read()[2:])",
        "open('/dev/stdout', 'w').write(open('/dev/stdin').read()[2:])",
        "import sys\ninput = sys.stdin.readline\ninput()\nprint(input())",
        "input()\nprint(input())\nexit()",
        "import atexit\ninput()\natexit.register(print, input())",
        "input()\nprint(stdin.read())",
        "def main():\n    input()\n    print(input())\nif __name__ == '__main__':\n    main()",
        "input()\nprint(input())\nimport sys\nprint('debug', file=sys.stderr)",
    ],
)
def test_a_program_reads_and_writes_in_any_way(program: str, workers: Workers):
    assert prints(program, "1\n2 3\n", "2 3", workers) == "correct"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("import sys\nprint(len(sys.argv), sys.argv[0] == __file__)", "1 True"),
        (DATACLASS + "print(Point(1).x)", "1"),
        (
            DATACLASS + "import pickle\nprint(pickle.loads(pickle.dumps(Point(1))))",
            "Point(x=1)",
        ),
        ("print(type('P', (), {}).__module__)", "__main__"),
        ("print(10**5000)", "1" + "0" * 5000),
        ("print(len(str(int('9' * 5000))))", "5000"),
        ("print(math.gcd(4, 6), gcd(4, 6))", "2 2"),
        (DEEP + "print(f(90000))", "90000"),
        (
            DEEP.replace("def", "import functools\n@functools.cache\ndef") + "print(f(90000))",
            "90000",
        ),
        (
            DEEP + "import threading\nthreading.stack_size(1 << 27)\n"
            "one = threading.Thread(target=lambda: print(f(90000)))\none.start()\none.join()",
            "90000",
        ),
    ],
)
def test_a_program_runs_as_a_judge_runs_it(program: str, expected: str, workers: Workers):
    assert prints(program, "", expected, workers) == "correct"


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("a: List[int], k: int", "return [x for x in a if x > k]"),
        ("a: Optional[List[int]], k: int", "return list(filter(lambda x: x > k, a or []))"),
        ("a, k", "return tuple(x for x in a if x > k)"),
        ("a, k", "return nsmallest(9, sorted(a)[bisect_right(sorted(a), k):])"),
        ("a, k", "return sorted((Counter(a) - Counter(range(k + 1))).elements())"),
    ],
)
def test_a_starter_code_needs_no_imports(signature: str, body: str, workers: Workers):
    program = f"class Solution:\n    def above(self, {signature}) -> List[int]:\n        {body}\n"
    gold = gold_of([("[1, 2, 3]\n2", "[3]"), ("[5]\r\n9", "[]")], function="above")
    assert outcome(program, gold, workers) == "correct"


@pytest.mark.parametrize(
    ("body", "arguments", "expected"),
    [
        ("return len(given[0])", '"a\u2028b"', "3"),
        ("return len(given[0])", '"a\u0085b"', "3"),
        ("return given[0] + given[1]", "1\r\n2", "3"),
        ("return len(str(given[0]))", "1" * 5000, "5000"),
        ("return 10 ** given[0]", "5000", "1" + "0" * 5000),
        ("return [(1, 2), (3,)]", "4", "[[1, 2], [3]]"),
        ("return 1 if given[0] == 4 else 0", "4", "true"),
        ("return given[0] / 2", "4", "2"),
        ("import fractions\nreturn fractions.Fraction(given[0], 2)", "4", "2"),
        ("import decimal\nreturn decimal.Decimal('0.5')", "4", "0.5"),
        ("import numpy\nreturn numpy.int64(2) * given[0]", "4", "8"),
        ("import numpy\nreturn [numpy.float64(0.5), numpy.bool_(True)]", "4", "[0.5, true]"),
        ("import os\nos.write(1, b'thinking')\nprint('thinking')\nreturn 4", "4", "4"),
        ("return None", "4", "null"),
    ],
)
def test_a_result_is_right_if_python_says_that_it_equals(
    body: str, arguments: str, expected: str, workers: Workers
):
    assert returns(body, arguments, expected, workers) == "correct"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return {1}", "[1]"),
        ("return b'12'", "12"),
        ("return float('nan')", "2"),
        ("return 10**5000 + 1", "1" + "0" * 5000),
        ("return os.getpid()", "1"),  # a name that the judge lacks
        ("class Any:\n    def __eq__(self, other):\n        return True\nreturn Any()", "1"),
        ("import numpy\nreturn numpy.array([1, 2])", "[1, 2]"),
        ("return input()", '""'),
    ],
)
def test_a_result_that_is_another_thing_is_wrong(body: str, expected: str, workers: Workers):
    assert returns(body, "4", expected, workers) == "wrong"


@pytest.mark.parametrize(
    ("before", "body"),
    [
        ("def f(given):\n    return 99", "return given[0]"),
        (DATACLASS, "return Point(given[0]).x"),
        ("import sys", "return given[0]\nif __name__ == '__main__':\n    sys.exit(1)"),
        ("@cache\ndef g(n):\n    return n", "return g(given[0])"),
    ],
)
def test_a_solution_is_a_module_whose_class_comes_first(before: str, body: str, workers: Workers):
    assert returns(body, "4", "4", workers, before) == "correct"


def test_a_function_is_found_beside_a_class_that_lacks_it(workers: Workers):
    gold = gold_of([("4", "4")], function="f")
    program = "class Solution:\n    pass\n\ndef f(n):\n    return n"
    assert outcome(program, gold, workers) == "correct"


def test_real_numbers_are_exact_unless_the_tests_allow_a_tolerance(workers: Workers):
    third = "print(1 / 3)", "", "0.333333333"
    assert prints(*third, workers) == "wrong"
    assert prints(*third, workers, float_tolerance=1e-6) == "correct"
    sums = "return [0.1 + 0.2, given[0]]", "4", "[0.3, 4]"
    assert returns(*sums, workers) == "wrong"
    assert returns(*sums, workers, float_tolerance=1e-6) == "correct"


def test_the_gold_answer_tells_which_block_is_graded(workers: Workers):
    read, returned = "print(2 * int(input()))", "def double(n):\n    return 2 * n"
    text = fenced(read) + fenced(returned)
    for gold in (gold_of([("2", "4")]), gold_of([("2", "4")], function="double")):
        assert grading.grade("code", Said(text, True, gold), workers).outcome == "correct"

"""The names that LiveCodeBench's judge provides, for programs that use and do not define them."""

import pytest

from raysweep.grading.judge_names import imports_for


@pytest.mark.parametrize(
    ("program", "imports"),
    [
        ("def f(a: List[int]) -> Optional[int]: ...", ["List", "Optional"]),
        ("math.gcd(1, gcd(2, 3))", ["gcd", "math"]),
        ("class A:\n    def f(self):\n        heappush([], inf)", ["heappush", "inf"]),
        ("def f():\n    from math import gcd\ndef g():\n    return gcd(1, 2)", ["gcd"]),
        ("from math import gcd\ngcd(1, 2)", []),
        ("def f(gcd):\n    return gcd", []),
        ("def f():\n    global gcd\n    gcd = 1\ndef g():\n    return gcd", []),
        ("print(pow(2, 3), sum([1]), open)", []),  # those of builtins stay
        ("os.getpid() + np.array([1])", []),
        ("not Python", []),
        ("(" * 10_000, []),
    ],
)
def test_a_program_is_given_the_names_that_it_lacks(program: str, imports: list[str]):
    statements = imports_for(program).splitlines()
    assert [statement.split()[-1] for statement in statements] == imports


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("List", "from typing import List"),
        ("Counter", "from typing import Counter"),  # later in the judge than that of collections
        ("datetime", "import datetime"),
        ("bisect", "import bisect"),
        ("gcd", "from math import gcd"),
        ("itertools", "import itertools"),
        ("ascii_lowercase", "from string import ascii_lowercase"),
        ("stdin", "from sys import stdin"),
    ],
)
def test_a_name_comes_from_where_the_judge_has_it(name: str, statement: str):
    assert imports_for(name) == statement

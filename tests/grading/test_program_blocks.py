"""Which block of a text is the program: fences as models write them, and what stands around a solution."""

import pytest
from support.program_cases import DOUBLE, DOUBLED, fenced, gold_of

from raysweep.grading import Nothing, code

METHOD = """class Solution:
    def join(self, a: List[int], b: List[int]) -> List[int]:
        return a + b
"""
JOIN = gold_of([("[1]\n[2]", "[1, 2]")], function="join")
READ = gold_of(DOUBLED)


def indented(program: str, by: str) -> str:
    return "".join(f"{by}{line}\n" for line in program.splitlines())


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
        ("```python\na\n```\nRun it:\n```bash\npython3", False, "a\n"),
        ("```python\n", False, Nothing.CUT_OFF),
        ("```python\n```", True, Nothing.UNANSWERED),
        ("```cpp\nint a;\n```", True, Nothing.UNANSWERED),
        ("```cpp\nint a;\n```", False, Nothing.CUT_OFF),
        ("print(1)", True, Nothing.UNANSWERED),
        ("", True, Nothing.UNANSWERED),
        ("", False, Nothing.CUT_OFF),
    ],
)
def test_the_last_whole_python_block_is_the_program(text: str, ended: bool, program: str | Nothing):
    assert code.extract(text, ended) == program


@pytest.mark.parametrize(
    "mark",
    [
        *("python", "Python", "PYTHON3", "py", "py3", " python", "pypy3", "python3.11"),
        *("{.python}", "{python}", 'python title="a.py"', "python:a.py", "solution.py", ""),
    ],
)
def test_a_block_is_marked_as_python_in_many_ways(mark: str):
    assert code.extract(fenced(DOUBLE, mark), True) == DOUBLE + "\n"


@pytest.mark.parametrize(
    "text",
    [
        f"````python\n{METHOD}````",
        f"~~~python\n{METHOD}~~~",
        f"~~~~ python\n{METHOD}~~~~",
        f"```python\n{METHOD}```".replace("\n", "\r\n"),
        f"```python\n{METHOD}``` \nThat is all.",
        f"```python\n{METHOD}``` That is all.",
        f"```python\n{METHOD.rstrip()}```\nThat is all.",
        f"```python\n{METHOD.rstrip()}```\n\n```\n[1, 2]\n```",
        f"```python\n{METHOD}```text\n[1, 2]\n```",
        f"```python\n{METHOD}",
        f"1. The code:\n\n   ```python\n{indented(METHOD, '   ')}   ```\n",
        f"- ```python\n{indented(METHOD, '  ')}  ```\n",
        f"```python\n{indented(METHOD, '    ')}```\n",
        f"The code is: ```python\n{METHOD}```",
        f"```markdown\n# Title\n\n```python\n{METHOD}```\nIt joins.\n```",
        f"````md\n```python\n{METHOD}```\n````",
        f"\n```python\n```python\n{METHOD}```",
        f"\n```python\nSure, here it is:\n```python\n{METHOD}```",
        f"</think>\n\n```python\n{METHOD}```",
    ],
)
def test_a_fence_is_read_as_models_write_it(text: str):
    found = code.extract(text, True, JOIN)
    assert isinstance(found, str)
    assert found.strip() == METHOD.strip()


@pytest.mark.parametrize(
    "program",
    [
        'def f():\n    """As in\n\n    ```\n    f()\n    ```\n    """\n',
        "a = 1  # not ```a```\nprint(a)\n",
        "# ```\na = 1\n",
        "print('```')\n",
    ],
)
def test_backticks_within_the_code_do_not_end_it(program: str):
    assert code.extract(fenced(program), True) == program


@pytest.mark.parametrize(
    "after",
    [
        fenced("print(Solution().join([1], [2]))  # [1, 2]"),
        fenced("solution = Solution()\nassert solution.join([], []) == []"),
        fenced("def test():\n    assert Solution().join([1], []) == [1]\ntest()"),
        fenced("a, b = eval(input()), eval(input())\nprint(Solution().join(a, b))"),
        fenced(">>> Solution().join([1], [2])\n[1, 2]"),
        fenced("class Solution:\n    def join(self, a, b):\n        pass"),
        fenced("a = [1]\nb = [2]\nprint(a + b)"),
        fenced("[1, 2]"),
        fenced("[1, 2]", ""),
        fenced("[1, 2]", "output"),
        fenced("python3 solution.py", "bash"),
        fenced("vector<int> join();", "cpp"),
    ],
)
def test_what_follows_the_asked_function_is_no_solution(after: str):
    assert code.extract(f"{fenced(METHOD)}Such as{after}", True, JOIN) == METHOD


@pytest.mark.parametrize(
    "after",
    [
        fenced("print(2 * 21)  # 42"),
        fenced("import io, sys\nsys.stdin = io.StringIO('21')\nprint(2 * int(input()))"),
        fenced("import sys\ninput = sys.stdin.readline"),
        fenced("def double(n):\n    return 2 * n"),
        fenced("42"),
        fenced("21\n", "text"),
    ],
)
def test_what_follows_a_program_that_reads_and_writes_is_no_solution(after: str):
    assert code.extract(f"{fenced(DOUBLE)}Such as{after}", True, READ) == DOUBLE + "\n"


def test_what_calls_functions_of_an_earlier_block_is_usage_of_it():
    program = "def double(n):\n    return 2 * n\nprint(double(int(input())))\n"
    usage = fenced("print(double(int(input('n: '))))")
    assert code.extract(fenced(program) + usage, True, READ) == program


@pytest.mark.parametrize("mark", ["python", ""])
def test_a_draft_before_the_solution_does_not_count(mark: str):
    for draft in ("print(0)", "print(3 * int(input()))", "def double(n):\n    return n + n"):
        text = f"{fenced(draft)}Better:{fenced(DOUBLE, mark)}"
        assert code.extract(text, True, READ) == DOUBLE + "\n"


@pytest.mark.parametrize("final", [METHOD.replace("a + b", "b"), METHOD.replace("a +", "a + (")])
def test_the_last_solution_counts_even_if_it_is_wrong_or_no_python(final: str):
    assert code.extract(fenced(METHOD) + fenced(final), True, JOIN) == final

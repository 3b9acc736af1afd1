"""LiveCodeBench (arXiv 2403.07974), code generation: contest problems with public and hidden tests.

They are read from the published JSONL files. Models have seen old contests in training, so a benchmark is a
range of contest dates. The gold answer holds the question's tests (`code_tests`).
"""

import itertools
from collections.abc import Iterator
from datetime import date

from raysweep.benchmarks.code_tests import pack_tests, read_tests
from raysweep.benchmarks.prompts import Prompt
from raysweep.benchmarks.rows import Row, identified, read_rows
from raysweep.benchmarks.sources import File
from raysweep.spec import Question
from raysweep.system.json_text import parsed_json


def questions(
    source: tuple[File, ...],
    prompt: Prompt,
    since: date = date.min,
    until: date = date.max,
    count: int | None = None,
) -> Iterator[Question]:
    """Questions of contests from `since` to `until`, both included, or the first `count` of them.

    The template may use `question` and `starter_code`. The latter is empty if a program reads its standard
    input.
    """
    rows = identified(read_rows(source), "question_id")
    inside = ((name, row) for name, row in rows if since <= contest_date(row) <= until)
    for name, row in itertools.islice(inside, count):
        code = row.values.get("starter_code") or ""
        text = prompt.fill(question=row.text("question_content").strip(), starter_code=code)
        yield Question(name, text, tests(row))


def contest_date(row: Row) -> date:
    try:
        return date.fromisoformat(row.text("contest_date")[:10])
    except ValueError as error:
        raise row.error("contest_date", f"{error}; write YYYY-MM-DD") from error


def tests(row: Row) -> str:
    """The row's tests as a gold answer. Raises ConfigError if they cannot be read."""
    try:
        function = parsed_json(row.text("metadata")).get("func_name")
    except (ValueError, AttributeError) as error:
        reason = f"is not a JSON object ({error}); fetch the file again"
        raise row.error("metadata", reason) from error
    gold = pack_tests(function, row.text("public_test_cases"), row.text("private_test_cases"))
    try:
        read_tests(gold)
    except ValueError as error:
        reason = f"cannot be read ({error}); fetch the file again"
        raise row.error("private_test_cases", reason) from error
    return gold

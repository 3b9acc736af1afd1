"""GPQA (arXiv 2311.12022): questions with one correct and three wrong answers, asked as multiple choice.

They are read from the published CSV files. The choices of a question are shuffled by the seed and its own
id, so other rows and their order do not matter. The gold answer is the letter.
"""

import itertools
import random
from collections.abc import Iterator

from raysweep.benchmarks.prompts import Prompt
from raysweep.benchmarks.rows import Row, identified, read_rows
from raysweep.benchmarks.sources import File
from raysweep.spec import Question

ID, QUESTION, RIGHT = "Record ID", "Question", "Correct Answer"
WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
LETTERS = "ABCD"


def questions(
    source: tuple[File, ...], prompt: Prompt, seed: int, count: int | None = None
) -> Iterator[Question]:
    """The questions, or the first `count` of them.

    The template may use `question` and `choices`, a list of four texts.
    """
    for identifier, row in itertools.islice(identified(read_rows(source), ID), count):
        order = random.Random(f"gpqa/{seed}/{identifier}").sample(range(4), 4)
        answers = [text(row, column) for column in (RIGHT, *WRONG)]
        choices = [answers[index] for index in order]
        rendered = prompt.fill(question=text(row, QUESTION), choices=choices)
        yield Question(identifier, rendered, LETTERS[order.index(0)])


def text(row: Row, column: str) -> str:
    return row.text(column).strip()

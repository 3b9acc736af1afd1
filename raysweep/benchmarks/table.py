"""table: any data set with a question and its answer in each row, described by its definition.

It serves AIME, MATH500 and users' own data sets. The prompt's template may use the question as `question`
and all columns of its row as `row`.
"""

import itertools
from collections.abc import Iterator

from raysweep.benchmarks.prompts import Prompt
from raysweep.benchmarks.rows import identified, read_rows
from raysweep.benchmarks.sources import File
from raysweep.spec import Question

RAW = Prompt("{{ question }}")


def questions(
    source: tuple[File, ...],
    question: str = "question",
    answer: str = "answer",
    id: str | None = None,
    prompt: Prompt = RAW,
    count: int | None = None,
) -> Iterator[Question]:
    """The rows' questions, or the first `count` of them.

    question, answer, id  names of columns; without `id` the rows are numbered
    """
    for identifier, row in itertools.islice(identified(read_rows(source), id), count):
        text = prompt.fill(question=row.text(question).strip(), row=row.values)
        yield Question(identifier, text, row.text(answer).strip())

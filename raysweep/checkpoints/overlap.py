"""Whether a calibration text contains a test question, which would fit the weights to the test.

A question counts as contained if its whole prompt is, or RUN_WORDS words in a row that no other question of
the benchmark has. The second rule sees through the instructions that a benchmark's prompt adds to each
problem. Words are compared without case and punctuation.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from raysweep.errors import ConfigError
from raysweep.recipe import Document
from raysweep.spec import Question

# The usual length in tests for contamination, since GPT-3 (arXiv 2005.14165, appendix C).
RUN_WORDS = 13
WORD = re.compile(r"\w+")

Run = tuple[str, ...]


def check_no_test_question(
    documents: Sequence[Document], questions: Sequence[Question], field: str, way_out: str
) -> None:
    """Raise ConfigError if a document contains a test question; `way_out` says what to do about it."""
    found = contained(documents, questions)
    if found is not None:
        raise ConfigError(
            f"{field}: it contains the test question {found}, and weights must not be fitted to the test; "
            f"{way_out}"
        )


def contained(documents: Sequence[Document], questions: Sequence[Question]) -> str | None:
    """The id of a question that the documents contain. None if they contain none."""
    everything = "\0".join(f"{d.prompt}\0{d.text}" for d in documents)
    for question in questions:
        if question.prompt in everything:
            return question.question_id
    owners = own_runs(questions)
    for document in documents:
        for text in (document.prompt, document.text):
            # `isdisjoint` stays in C, so a million words take about a second.
            if not owners.keys().isdisjoint(runs(text)):
                return next(owners[run] for run in runs(text) if run in owners)
    return None


def own_runs(questions: Iterable[Question]) -> dict[Run, str]:
    """Each run of words that one question alone has, with that question's id."""
    owners: dict[Run, str] = {}
    counts: Counter[Run] = Counter()
    for question in questions:
        found = set(runs(question.prompt))
        counts.update(found)
        owners.update(dict.fromkeys(found, question.question_id))
    return {run: owner for run, owner in owners.items() if counts[run] == 1}


def runs(text: str) -> Iterator[Run]:
    """All runs of RUN_WORDS words of a text."""
    words = WORD.findall(text.lower())
    return zip(*(words[start:] for start in range(RUN_WORDS)), strict=False)

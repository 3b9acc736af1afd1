"""Votes of equal answers count together, however they are written: classes against pairwise comparison."""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nouns import a_benchmark, an_engine

from raysweep.grading.equivalence import Equivalence
from raysweep.reducing.answer_counts import tally
from raysweep.storage.schemas import SAMPLES
from raysweep.system.workers import CallError, Workers

EQUAL = "raysweep.grading.symbolic:equal"
SAID = (
    *(
        "x+1",
        "1+x",
        "x + 1",
        "2x",
        "x+x",
        "2 x",
        "x^2-1",
        "(x-1)(x+1)",
        "y+1",
        r"\sin^2 x+\cos^2 x",
    ),
    *(
        "x<3",
        "3>x",
        "y=2x",
        r"\text{east}",
        r"\text{west}",
        "x+1.5",
        r"x+\frac{3}{2}",
        r"\frac{x}{0}",
    ),
)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def pairs(workers: Workers) -> dict[tuple[str, str], bool]:
    """Each pair of SAID, compared."""
    compared = {pair: workers.call(EQUAL, *pair) for pair in itertools.combinations(SAID, 2)}
    return compared | {(b, a): same for (a, b), same in compared.items()}


@pytest.fixture(scope="module")
def equivalence(workers: Workers) -> Equivalence:
    return Equivalence(workers)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, len(SAID) - 1)), max_size=30))
@settings(max_examples=30, deadline=None)
def test_answers_are_merged_as_comparing_every_pair_would(
    pairs: dict[tuple[str, str], bool], equivalence: Equivalence, said: list[tuple[int, int]]
):
    questions = np.array([question for question, _ in said], dtype=np.int64)
    choices = np.array([choice for _, choice in said], dtype=np.int64)
    merged = equivalence.merged("sums", "mathematics", questions, choices, list(SAID))
    for (q, a, one), (r, b, other) in itertools.product(
        zip(questions, choices, merged, strict=True), repeat=2
    ):
        if q == r:
            assert (one == other) == (a == b or pairs[SAID[a], SAID[b]]), (SAID[a], SAID[b])


def test_what_is_known_of_a_question_is_not_asked_again(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
):
    asked: Counter[tuple] = Counter()
    call = Workers.call

    def counted(self: Workers, *arguments: Any, **more: Any) -> Any:
        asked[arguments] += 1
        return call(self, *arguments, **more)

    monkeypatch.setattr(Workers, "call", counted)
    equivalence = Equivalence(workers)
    for _ in range(3):
        equivalence.merged(
            "sums", "mathematics", np.zeros(4, int), np.arange(4), ["x+1", "1+x", "y", "7"]
        )
    assert max(asked.values()) == 1
    assert not any("7" in arguments for arguments in asked)  # it has a canonical form


def test_an_answer_that_algebra_cannot_compare_equals_only_itself(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: Any, **__: Any) -> None:
        raise CallError("hung")

    monkeypatch.setattr(Workers, "call", broken)
    texts = ["x+1", "1+x", "x+1 "]
    merged = Equivalence(workers).merged(
        "sums", "mathematics", np.zeros(4, int), np.array([0, 1, 0, 2]), texts
    )
    assert merged.tolist()[0] == merged.tolist()[2] != merged.tolist()[1]


def test_graders_whose_answers_compare_as_texts_need_no_worker():
    choices = np.array([0, 1])
    merged = Equivalence(Workers(1)).merged(
        "sums", "integer", np.zeros(2, int), choices, ["a", "b"]
    )
    assert merged is choices


def test_a_vote_counts_equal_wrong_answers_together(workers: Workers):
    benchmark = a_benchmark(count=2, grader="mathematics")
    said = {"sums-0": ["x+1", "1+x", "2x", "x + 1"], "sums-1": ["x+x", "2x", "5", "5"]}
    rows = [
        {
            "question_id": question,
            "sample_index": index,
            "prompt_tokens": 1,
            "trace_tokens": 1,
            "answers": [wrong(text)],
        }
        for question, texts in said.items()
        for index, text in enumerate(texts)
    ]
    samples = pa.Table.from_pylist(rows, schema=SAMPLES)
    votes = tally(samples, an_engine(), benchmark, [8], Equivalence(workers))
    assert [sorted(classes[classes > 0]) for classes in votes.wrong[0]] == [[1, 3], [2, 2]]
    apart = tally(samples, an_engine(), benchmark, [8])
    assert [sorted(classes[classes > 0]) for classes in apart.wrong[0]] == [[1, 1, 1, 1], [1, 1, 2]]


def wrong(text: str) -> dict[str, Any]:
    return {
        "token_budget": 8,
        "answer": text,
        "outcome": "wrong",
        "forced": True,
        "thinking_tokens": 8,
        "answer_tokens": 2,
    }

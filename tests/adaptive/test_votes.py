"""Votes as they are read from samples: their order does not matter, and what is missing shows."""

import numpy as np
import pyarrow as pa
from support.nouns import a_benchmark

from raysweep.adaptive.votes import MISSING, NO_VOTE, votes_of
from raysweep.storage.schemas import SAMPLES

BUDGETS = (8, 16)


def a_row(question: int, index: int, answers: dict[int, tuple[str, str | None]]) -> dict:
    own = [
        {"token_budget": b, "thinking_tokens": b, "forced": True, "answer_tokens": 1}
        | {"outcome": outcome, "answer": answer}
        for b, (outcome, answer) in answers.items()
    ]
    return {
        "question_id": f"sums-{question}",
        "sample_index": index,
        "prompt_tokens": 5 + index,
    } | {
        "trace_tokens": 9,
        "finish": "stop",
        "answers": own,
    }


ROWS = [
    a_row(0, 0, {8: ("wrong", "7"), 16: ("correct", "1")}),
    a_row(0, 1, {8: ("unanswered", None), 16: ("wrong", "7")}),
    a_row(1, 0, {8: ("wrong", "9"), 16: ("wrong", "8")}),
    a_row(1, 1, {8: ("wrong", "8")}),
]


def votes(rows, n=2):
    return votes_of(pa.Table.from_pylist(rows, schema=SAMPLES), "e", a_benchmark(2), BUDGETS, n)


def test_a_choice_is_right_or_no_vote_or_a_class_of_equal_wrong_answers():
    found = votes(ROWS)
    assert found.choice[:, 0].tolist() == [[1, NO_VOTE], [0, 1]]
    assert found.choice[:, 1].tolist() == [[1, 2], [2, MISSING]]
    assert found.prompt_tokens == 6


def test_what_was_never_made_is_missing():
    assert votes(ROWS).whole(1) and not votes(ROWS).whole(2)


def test_the_order_of_the_rows_changes_nothing():
    assert votes(ROWS).content == votes(ROWS[::-1]).content
    np.testing.assert_array_equal(votes(ROWS).choice, votes(ROWS[::-1]).choice)


def test_another_answer_changes_the_hash():
    other = [*ROWS[:3], a_row(1, 1, {8: ("correct", "2")})]
    assert votes(other).content != votes(ROWS).content


def test_later_samples_are_left_out():
    assert votes(ROWS, n=1).choice[:, 0].tolist() == [[1], [0]]

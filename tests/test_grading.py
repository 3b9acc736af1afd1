"""How a text becomes an answer, and an answer an outcome."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.benchmarks import grading
from raysweep.benchmarks.grading import GRADERS, Graded, grade, outcome_of


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" 87", "87"),
        ("\nThe answer is 08", "8"),
        ("x=7.", "7"),
        ("first 3, then 5", "5"),
        ("+12", "12"),
        ("\N{MINUS SIGN}4", "-4"),
        ("9-5", "5"),
        ("-0", "0"),
        ("000", "0"),
        ("2.5", None),
        ("a7 7b", None),
        ("none", None),
        ("", None),
    ],
)
def test_the_last_whole_number_is_the_answer_in_its_shortest_form(text: str, answer: str | None):
    assert grading.last_integer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" B", "B"),
        ("(C)", "C"),
        ("not A but D.", "D"),
        ("C, I think", "C"),
        ("b", None),
        ("ABBA", None),
    ],
)
def test_the_last_letter_that_stands_alone_is_the_choice(text: str, answer: str | None):
    assert grading.last_choice(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [("\nThe answer is q", "q"), (" a", "a"), ("m, no: t.", "t"), ("Q", None), ("ab", None)],
)
def test_the_last_lower_case_letter_that_stands_alone_is_the_answer(text: str, answer: str | None):
    assert grading.last_letter(text) == answer


def test_an_answer_equal_to_the_gold_one_but_for_its_spelling_is_correct():
    assert grade("integer", " 8", "08") == Graded("8", "correct")
    assert grade("integer", " 9", "08") == Graded("9", "wrong")


def test_a_text_without_an_answer_is_unanswered_not_wrong():
    assert grade("choice", "hm", "A") == Graded(None, "unanswered")


def test_an_answer_that_ran_into_its_token_limit_is_cut_off_whatever_it_says():
    assert outcome_of("integer", " 8", "8", ended=False) == Graded(None, "cut_off")
    assert outcome_of("integer", " 8", "8", ended=True) == Graded("8", "correct")


def test_a_grader_that_fails_gives_an_error_not_a_wrong_answer(monkeypatch: pytest.MonkeyPatch):
    def broken(text: str) -> str:
        raise RuntimeError(text)

    monkeypatch.setitem(GRADERS, "integer", broken)
    assert grade("integer", " 8", "8") == Graded(None, "error")


def test_a_gold_answer_that_the_grader_cannot_read_is_an_error():
    assert grade("choice", " A", "42") == Graded(None, "error")


@given(st.integers(), st.integers(0, 5), st.text("abc =\n", max_size=5))
def test_every_integer_is_read_back_however_it_is_padded(value: int, zeros: int, before: str):
    sign, digits = ("-" if value < 0 else ""), str(abs(value))
    assert grading.last_integer(f"{before} {sign}{'0' * zeros}{digits}") == str(value)


@given(st.sampled_from(sorted(GRADERS)), st.text(), st.text(), st.booleans())
def test_grading_never_raises_and_only_correct_and_wrong_have_an_answer(
    grader: str, text: str, gold: str, ended: bool
):
    graded = outcome_of(grader, text, gold, ended)
    assert (graded.answer is not None) == (graded.outcome in ("correct", "wrong"))

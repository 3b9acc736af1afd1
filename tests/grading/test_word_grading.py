"""Whole numbers with grouped digits and signs, and letters that are parts of words."""

import pytest

from raysweep import grading
from raysweep.grading import Graded, Nothing, Said, words
from raysweep.system.workers import Workers

APART = [",", "{,}", r",\!", r"{,}\!", r"\,", r"\;", "~", "'", "\u00a0", "\u2009", "\u202f"]


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize("value", [1234, 12345, 1234567, -1000])
def test_digits_may_be_grouped_in_threes_in_the_answer_and_in_the_gold_one(apart: str, value: int):
    grouped = f"{value:,}".replace(",", apart)
    for text in (grouped, f"\\boxed{{{grouped}}}", f"First 7, then {grouped}.", f"${grouped}$ m"):
        assert words.last_integer(text, True) == str(value), text
    with Workers(1) as workers:
        said = Said(str(value), True, grouped)
        assert grading.grade("integer", said, workers) == Graded(str(value), "correct")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1, 2", "2"),
        ("1,2", "2"),
        ("1,234, 5", "5"),
        ("1,234,5", "5"),
        ("7 or 1,2345", "2345"),
        ("0,123", "123"),
        ("1 234", "1234"),  # nothing else is said
        ("so 5 100", "100"),
        ("1,234.56", Nothing.UNANSWERED),
        ("7 or 1,234.5", "7"),
    ],
)
def test_a_list_is_no_grouped_number_and_a_fraction_is_not_whole(text: str, answer: str | Nothing):
    assert words.last_integer(text, True) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\N{MINUS SIGN}1,234", "-1234"),
        ("\N{FULLWIDTH HYPHEN-MINUS}5", "-5"),
        ("it is \N{EN DASH}5", "-5"),
        ("$-4$", "-4"),
        ("+1,000", "1000"),
        ("pages 3\N{EN DASH}5", "5"),  # after a digit it is no sign
        ("\N{FULLWIDTH DIGIT ONE}\N{FULLWIDTH DIGIT TWO}", "12"),
        ("10\N{SUPERSCRIPT TWO}", Nothing.UNANSWERED),
    ],
)
def test_a_sign_is_read_in_every_script(text: str, answer: str | Nothing):
    assert words.last_integer(text, True) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is q. That's it.", "q"),
        ("q, it isn't \N{LATIN SMALL LETTER A WITH GRAVE}", "q"),
        ("q, e.g. from the table", "q"),
        ("q, a lucky guess", "q"),
        ("a because it is so", "a"),
        ("it is a.", "a"),
        ("'q'", "q"),
        ("don't", Nothing.UNANSWERED),
    ],
)
def test_a_letter_of_a_word_and_an_article_are_no_answer(text: str, answer: str | Nothing):
    assert words.last_letter(text, True) == answer

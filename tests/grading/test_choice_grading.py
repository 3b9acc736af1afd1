"""Which letter a text settles on: kinds of statement, of dressing, and of letters that choose nothing."""

import random

import pytest
from support.choice_cases import DISPUTED, NO_CHOICE, STATED

from raysweep.grading import Nothing
from raysweep.grading.choice import chosen_letter


@pytest.mark.parametrize("kind", STATED)
def test_a_stated_letter_is_the_answer_however_it_is_said(kind: str):
    assert {text: chosen_letter(text, True) for text in STATED[kind]} == dict.fromkeys(
        STATED[kind], "D"
    )


@pytest.mark.parametrize("letter", "ABC")
@pytest.mark.parametrize("kind", ["an answer line", "a sentence", "a letter and its text in a box"])
def test_a_statement_holds_for_every_letter(kind: str, letter: str):
    for text in STATED[kind]:
        other = text.replace("D", letter).replace(" d)", f" {letter.lower()})")
        assert chosen_letter(other, True) == letter, other


@pytest.mark.parametrize(("text", "answer"), DISPUTED)
def test_what_is_stated_counts_not_what_is_mentioned_last(text: str, answer: str):
    assert chosen_letter(text, True) == answer


@pytest.mark.parametrize("kind", NO_CHOICE)
def test_a_text_that_chooses_nothing_is_unanswered(kind: str):
    assert {text: chosen_letter(text, True) for text in NO_CHOICE[kind]} == dict.fromkeys(
        NO_CHOICE[kind], Nothing.UNANSWERED
    )


def test_a_text_that_ran_into_its_limit_has_chosen_only_in_a_whole_box():
    assert chosen_letter(r"\boxed{\text{(D)}}, because", False) == "D"
    assert chosen_letter(r"The answer is D. \boxed{5} and \boxed{D", False) == Nothing.CUT_OFF
    assert chosen_letter("The answer is D. It", False) == Nothing.CUT_OFF


def test_words_before_a_statement_do_not_change_what_it_states():
    rng = random.Random(5)
    prose = [
        "It depends on vitamin C.",
        "A. Smith showed it.",
        "Option B is too small.",
        "So F = ma.",
    ]
    for text in STATED["a sentence"] + STATED["an answer line"]:
        before = " ".join(rng.sample(prose, 3))
        assert chosen_letter(f"{before}\n\n{text}", True) == "D", (before, text)

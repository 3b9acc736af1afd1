r"""How a text becomes an answer, and an answer an outcome: tables of cases, spellings, near misses."""

import random
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.graded_answers import CHOICE, MATHEMATICS, OPENED, Case

from raysweep import grading
from raysweep.grading import Graded, Nothing, Said, words
from raysweep.grading.mathematics import Number, number
from raysweep.system.workers import Workers

SPELLINGS = (
    r"\boxed{%d}",
    "%d",
    "0%d",
    "$%d$",
    "%d.",
    r"\(%d\)",
    "The answer is %d",
    "The answer is $%d$.",
    " %d ",
    "**%d**",
    OPENED + "%d}",
    OPENED + " 0%d }.",
    r"So it is $\boxed{%d}$, as was to be shown.",
    r"First \boxed{1}, but then \boxed{%d}",
)
NEAR = (r"\boxed{%d}", "%d", "The answer is %d", OPENED + "%d}")


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as pool:
        yield pool


def outcome(grader: str, case: Case, workers: Workers) -> str:
    return grading.grade(grader, Said(case.text, case.ended, case.gold), workers).outcome


# Tables


@pytest.mark.parametrize(("grader", "cases"), [("mathematics", MATHEMATICS), ("choice", CHOICE)])
def test_every_case_of_the_table_has_its_outcome(grader: str, cases: list[Case], workers: Workers):
    wrongly = {case: outcome(grader, case, workers) for case in cases}
    assert {case: said for case, said in wrongly.items() if said != case.outcome} == {}
    assert len(set(cases)) > {"mathematics": 300, "choice": 50}[grader]
    assert set(Counter(case.outcome for case in cases)) >= {
        "correct",
        "wrong",
        "unanswered",
        "cut_off",
    }


@pytest.mark.parametrize("gold", random.Random(25).sample(range(1000), 30))
def test_a_whole_number_is_correct_in_every_spelling_and_its_neighbours_are_wrong(
    gold: int, workers: Workers
):
    for text in SPELLINGS:
        assert outcome("mathematics", Case(text % gold, str(gold), ""), workers) == "correct", text
    near = {gold + 1, gold - 1, 10 * gold + 3, gold + 100, -gold or 7, gold // 10 + 1000}
    for miss in near - {gold}:
        for text in NEAR:
            said = outcome("mathematics", Case(text % miss, str(gold), ""), workers)
            assert said == "wrong", text % miss


@pytest.mark.parametrize("gold", [1000, 12345, 1234567])
@pytest.mark.parametrize("apart", [",", "{,}", r"\,", " ", "~", "\u202f"])
def test_digits_may_be_grouped_in_threes(gold: int, apart: str, workers: Workers):
    grouped = f"{gold:,}".replace(",", apart)
    for text in (grouped, f"\\boxed{{{grouped}}}", f"${grouped}$"):
        assert outcome("mathematics", Case(text, str(gold), ""), workers) == "correct", text
        assert outcome("mathematics", Case(text, str(gold + 1), ""), workers) == "wrong", text


# What an answer is called in a vote


@pytest.mark.parametrize(
    ("answer", "spelled"),
    [
        ("70", [r"70", "070", "70.0", r"\frac{140}{2}", "x = 70", r"70^\circ"]),
        ("3/4", [r"\frac34", "0.75", "6/8", r"1-\frac{1}{4}"]),
        ("-1/2", [r"-\frac{1}{2}", "-.5", r"\frac{-3}{6}"]),
        ("≈1.41421356237", [r"\sqrt2", r"\frac{2}{\sqrt{2}}", "2^{1/2}"]),
        ("{1, 2}", [r"\{2,1\}", "1, 2", r"\{1,\frac{4}{2}\}"]),
        ("[0, ∞)", [r"[0,\infty)"]),
        ("(3, ≈1.57079632679)", [r"(3,\frac{\pi}{2})"]),
        ("[[1, 2], [3, 4]]", [r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"]),
        ("x^2+1", ["x^2+1", " x^2+1 "]),  # no canonical form: as it was written
    ],
)
def test_an_answer_has_one_form_however_it_is_spelled(
    answer: str, spelled: list[str], workers: Workers
):
    for one in spelled:
        said = Said(f"\\boxed{{{one}}}", True, "12345")
        assert grading.grade("mathematics", said, workers) == Graded(answer, "wrong")


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**6))
def test_plain_reading_keeps_the_exact_value_of_a_fraction(above: int, below: int):
    expected = Number(Fraction(above, below))
    assert number(f"\\boxed{{\\frac{{{above}}}{{{below}}}}}") == expected
    assert number(f"${above}/{below}$.") == expected


# What goes wrong


@given(
    grader=st.sampled_from(["integer", "letter", "choice"]),
    text=st.text(),
    gold=st.text(),
    ended=st.booleans(),
)
def test_grading_never_raises_and_only_correct_and_wrong_have_an_answer(
    grader: str, text: str, gold: str, ended: bool, workers: Workers
):
    graded = grading.grade(grader, Said(text, ended, gold), workers)
    assert (graded.answer is not None) == (graded.outcome in ("correct", "wrong"))


@given(
    text=st.text(st.sampled_from("\\boxed{}frac12$,.()[]x ^_-+\n"), max_size=40),
    ended=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_whatever_a_model_writes_is_graded_as_one_of_the_outcomes(
    text: str, ended: bool, workers: Workers
):
    graded = grading.grade("mathematics", Said(text, ended, "12"), workers)
    assert graded.outcome in grading.OUTCOMES


def test_a_grader_that_fails_gives_an_error_not_a_wrong_answer(
    monkeypatch: pytest.MonkeyPatch, workers: Workers
):
    def broken(text: str, ended: bool) -> str:
        raise RuntimeError(text)

    monkeypatch.setitem(grading.GRADERS, "integer", grading.Grader(1, broken))
    assert grading.grade("integer", Said("8", True, "8"), workers) == Graded(None, "error")


def test_a_gold_answer_that_the_grader_cannot_read_is_an_error(workers: Workers):
    assert grading.grade("choice", Said("A", True, "42"), workers) == Graded(None, "error")


@pytest.mark.parametrize(
    ("grader", "gold"),
    [
        ("integer", "B"),
        ("letter", "7"),
        ("choice", "7"),
        ("mathematics", " "),
        ("mathematics", "\\frac{1"),
    ],
)
def test_a_gold_answer_that_is_none_is_refused(grader: str, gold: str):
    with pytest.raises(ValueError):
        grading.GRADERS[grader].check_gold(gold)


def test_equal_answers_are_graded_once(monkeypatch: pytest.MonkeyPatch, workers: Workers):
    asked = []

    def extract(text: str, ended: bool) -> str:
        asked.append(text)
        return text

    monkeypatch.setitem(grading.GRADERS, "counted", grading.Grader(1, extract))
    said = [Said("1", True, "1"), Said("2", True, "1"), Said("1", True, "1")]
    graded = grading.grade_all("counted", said, workers)
    assert [one.outcome for one in graded] == ["correct", "wrong", "correct"]
    assert sorted(asked) == ["1", "2"]


# Words


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
        ("2.5", Nothing.UNANSWERED),
        ("a7 7b", Nothing.UNANSWERED),
        ("none", Nothing.UNANSWERED),
        ("", Nothing.UNANSWERED),
    ],
)
def test_the_last_whole_number_is_the_answer_in_its_shortest_form(text: str, answer: str | Nothing):
    assert words.last_integer(text, True) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\nThe answer is q", "q"),
        (" a", "a"),
        ("m, no: t.", "t"),
        ("Q", Nothing.UNANSWERED),
        ("ab", Nothing.UNANSWERED),
    ],
)
def test_the_last_lower_case_letter_that_stands_alone_is_the_answer(
    text: str, answer: str | Nothing
):
    assert words.last_letter(text, True) == answer


def test_an_answer_equal_to_the_gold_one_but_for_its_spelling_is_correct(workers: Workers):
    assert grading.grade("integer", Said(" 8", True, "08"), workers) == Graded("8", "correct")
    assert grading.grade("integer", Said(" 9", True, "08"), workers) == Graded("9", "wrong")


@pytest.mark.parametrize("grader", ["integer", "letter"])
def test_a_word_that_ran_into_its_limit_is_cut_off_whatever_it_says(grader: str, workers: Workers):
    assert grading.grade(grader, Said(" 8 a", False, "8"), workers) == Graded(None, "cut_off")


@given(st.integers(), st.integers(0, 5), st.text("abc =\n", max_size=5))
def test_every_integer_is_read_back_however_it_is_padded(value: int, zeros: int, before: str):
    sign, digits = ("-" if value < 0 else ""), str(abs(value))
    assert words.last_integer(f"{before} {sign}{'0' * zeros}{digits}", True) == str(value)

r"""Mathematics as models write it: spellings by kind, statements in prose, golds, votes, hostile texts."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.graded_answers import OPENED, Case
from support.graded_mathematics import SPELLINGS
from support.graded_statements import STATEMENTS
from support.mathematics_golds import GOLDS
from support.nouns import a_benchmark

from raysweep import grading
from raysweep.grading import Graded, Said
from raysweep.grading.mathematics import has_canonical_form
from raysweep.system.workers import Workers

MATHEMATICS = grading.GRADERS["mathematics"]
FORMS = (
    r"So it is \boxed{%s}.",
    r"The answer is $%s$.",
    r"**Answer:** $%s$",
    r"Thus it is **$%s$**.",
    "The answer is\n\\[ %s \\]",
    r"The answer is $%s$, since $3 + 4 = 7$.",
    OPENED + "%s}",
    OPENED + "%s",
    OPENED + "%s$.",
    OPENED + "The answer is $%s$.",
    OPENED + "\n\\boxed{%s}\n}",
)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as pool:
        yield pool


def graded(cases: list[Case], workers: Workers) -> list[Graded]:
    said = [Said(case.text, case.ended, case.gold) for case in cases]
    return grading.grade_all("mathematics", said, workers)


@pytest.mark.parametrize(
    "cases", [SPELLINGS, STATEMENTS, GOLDS], ids=["spelled", "stated", "golds"]
)
def test_every_spelling_and_statement_has_its_outcome(cases: list[Case], workers: Workers):
    outcomes = zip(cases, graded(cases, workers), strict=True)
    assert [(case, one) for case, one in outcomes if one.outcome != case.outcome] == []


def test_gold_answers_of_every_form_are_correct_as_models_state_them(workers: Workers):
    golds = {case.gold for case in [*GOLDS, *SPELLINGS]}
    cases = [Case(form % gold, gold, "correct") for gold in golds for form in FORMS]
    outcomes = zip(cases, graded(cases, workers), strict=True)
    missed = [case for case, one in outcomes if one.outcome != "correct"]
    assert len(missed) <= 0.005 * len(cases), missed


def test_gold_answers_of_one_form_are_no_answers_to_each_other(workers: Workers):
    """Each against the next one, which says something else."""
    golds = list({case.gold: None for case in GOLDS})
    cases = [Case(f"\\boxed{{{said}}}", gold, "wrong") for gold, said in pairwise(golds)]
    outcomes = zip(cases, graded(cases, workers), strict=True)
    assert [case for case, one in outcomes if one.outcome != "wrong"] == []


# Gold answers


@pytest.mark.parametrize(
    ("gold", "why"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("NaN", "missing"),
        ("nan", "missing"),
        (r"\frac{1", "braces"),
        ("We add them. The sum is 18.", "worked"),
        ("She sells 9 eggs.\nThen she earns 9 * 2 = 18 dollars.", "worked"),
        (r"Adding both gives $x = 3$, so $\boxed{3}$.", "worked"),
        ("9 * 2 = 18\n#### ", "empty"),
    ],
)
def test_a_gold_answer_that_nobody_can_meet_is_refused_with_the_reason(gold: str, why: str):
    with pytest.raises(ValueError, match=why):
        MATHEMATICS.check_gold(gold)


@pytest.mark.parametrize("gold", ["18", r"\boxed{18}", "9 * 2 = <<9*2=18>>18 dollars.\n#### 18"])
def test_a_gold_answer_is_what_stands_after_the_mark_or_in_the_box(gold: str, workers: Workers):
    MATHEMATICS.check_gold(gold)
    said = [Case(r"\boxed{18}", gold, "correct"), Case(r"\boxed{9}", gold, "wrong")]
    assert [one.outcome for one in graded(said, workers)] == ["correct", "wrong"]


def test_a_gold_answer_must_be_correct_in_each_way_of_stating_it(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
):
    benchmark = a_benchmark(count=2, grader="stated")
    ways = (lambda gold: gold, lambda gold: f"It is {gold}")
    first = grading.Grader(1, lambda text, ended: text, stated=ways[:1])
    both = grading.Grader(1, lambda text, ended: text, stated=ways)
    monkeypatch.setitem(grading.GRADERS, "stated", first)
    assert grading.ungradable_gold(benchmark, workers) is None
    monkeypatch.setitem(grading.GRADERS, "stated", both)
    assert grading.ungradable_gold(benchmark, workers) == benchmark.questions[0]


def test_the_usual_statements_of_gold_answers_are_correct(workers: Workers):
    golds = list({case.gold for case in GOLDS})
    cases = [Case(state(gold), gold, "correct") for gold in golds for state in MATHEMATICS.stated]
    outcomes = zip(cases, graded(cases, workers), strict=True)
    assert len(MATHEMATICS.stated) == 3
    assert [case for case, one in outcomes if one.outcome != "correct"] == []


# Votes


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1/633825300114114700748351602688", "1/1267650600228229401496703205376", False),
        (r"\frac{x}{2^{99}}", r"\frac{x}{2^{98}}", False),
        (r"\frac{x}{2^{99}}", r"2^{-99}x", True),
        (r"10^7 x", r"\sqrt{10^{14}+1}x", False),
        ("x+1.5", r"x+\frac32", True),
        (r"\sqrt{1/n}", r"\frac{1}{\sqrt n}", True),
        ("x+y=3", "2x+2y=6", True),
        ("x+y=3", "x+y=4", False),
        ("x+y=3", "3", False),
        ("|x-3|", "|3-x|", True),
        ("|x-3|", "x-3", False),
    ],
)
def test_answers_are_equal_in_a_vote_as_they_are_in_grading(
    one: str, other: str, same: bool, workers: Workers
):
    assert workers.call(MATHEMATICS.equal, one, other) is same
    assert workers.call(MATHEMATICS.equal, other, one) is same
    if same:  # else they would never be compared
        marks = [workers.call(MATHEMATICS.fingerprint, text) for text in (one, other)]
        assert marks[0] == marks[1]


@pytest.mark.parametrize(
    ("answer", "spelled"),
    [
        ("(-2, 7]", [r"(-2,7]", r"-2<x\le 7", r"x \in (-2,7]"]),
        ("{(-∞, 2) \N{UNION} (3, ∞)}", [r"(-\infty,2)\cup(3,\infty)", r"x<2\text{ or }x>3"]),
        ("1011_2", ["1011_2", r"1011_{\text{two}}", r"1011\text{ (base 2)}"]),
        ("1/3", [r"0.\overline{3}", "⅓", r"\frac{1}{3}"]),
        ("6 + -5i", ["6-5i", r"6 - 5\mathrm{i}", "6+(-5)i"]),
        ("[[1], [2]]", [r"\begin{pmatrix}1\\[4pt]2\end{pmatrix}"]),
        ("120000", ["1.2e5", r"1.2\times 10^5", "120,000"]),
    ],
)
def test_spellings_of_one_answer_have_one_form_in_votes(
    answer: str, spelled: list[str], workers: Workers
):
    said = [Case(f"\\boxed{{{one}}}", "12345", "wrong") for one in spelled]
    assert {one.answer for one in graded(said, workers)} == {answer}
    assert has_canonical_form(answer)


# Hostile texts


@pytest.mark.parametrize(
    "text",
    [
        "{" * 20_000,
        "$" * 20_000,
        "answer is " * 5_000,
        "**" * 10_000,
        r"\boxed{" * 3_000,
        "\\boxed{" + "1," * 10_000 + "}",
        "\\boxed{" + "9" * 20_000 + "}",
        "\\boxed{" + " because" * 5_000 + "}",
        "\\boxed{" + r"\text{a}" * 2_000 + "}",
        "\\boxed{" + "0." + "3" * 1_900 + "...}",
        r"\boxed{9^{9^{9^{9}}}}",
        r"\boxed{1e999}",
        r"\boxed{1\times 10^{999999999}}",
        r"\boxed{100000000!}",
    ],
)
def test_a_hostile_text_is_no_correct_answer_and_ends_in_bounded_time(
    text: str, workers: Workers, monkeypatch: pytest.MonkeyPatch
):
    """A worker that takes longer than its CPU seconds is an error, not a hang."""
    monkeypatch.setitem(grading.GRADERS, "mathematics", replace(MATHEMATICS, cpu_s=3))
    (one,) = graded([Case(text, "12", "")], workers)
    assert one.outcome in ("wrong", "unanswered", "error")


@given(st.text(st.sampled_from("\\boxedanswri{}*$#.,12 -^_/\n"), max_size=60))
@settings(max_examples=50, deadline=None)
def test_what_is_read_in_the_process_itself_never_raises(text: str):
    found = MATHEMATICS.extract(text, True)
    judged = MATHEMATICS.judge(found, "12") if isinstance(found, str) else None
    assert judged is None or judged.outcome in ("correct", "wrong")

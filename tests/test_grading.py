r"""How a text becomes an answer, and an answer an outcome: tables of cases, spellings, near misses."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import pytest
from graded_cases import CHOICE, MATHEMATICS, OPENED, Case
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep import grading
from raysweep.grading import Graded, Nothing, Said, words
from raysweep.grading.mathematics import number
from raysweep.workers import CallError, Workers

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
    assert number(f"\\boxed{{\\frac{{{above}}}{{{below}}}}}") == Fraction(above, below)
    assert number(f"${above}/{below}$.") == Fraction(above, below)


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


def test_an_answer_that_takes_too_long_is_an_error_and_the_next_one_is_graded(
    monkeypatch: pytest.MonkeyPatch, workers: Workers
):
    endless = grading.Grader(1, lambda text, ended: text, lambda a, g: None, SPIN, cpu_s=0.3)
    monkeypatch.setitem(grading.GRADERS, "endless", endless)
    assert grading.grade("endless", Said("x", True, "1"), workers) == Graded(None, "error")
    said = Said(r"\boxed{\frac{\sqrt{4}}{2}}", True, "1")
    assert grading.grade("mathematics", said, workers) == Graded("1", "correct")


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


# Workers

SPIN = "grading_calls:spin"
CALLS = os.path.dirname(__file__)


@pytest.fixture(autouse=True)
def _calls_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", CALLS)


def test_a_call_may_come_from_any_thread(workers: Workers):
    found: list[str] = []

    def grade() -> None:
        said = Said(r"\boxed{\frac{2\pi}{\pi}}", True, "2")
        found.append(grading.grade("mathematics", said, workers).outcome)

    threads = [threading.Thread(target=grade) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["correct"] * 3


@pytest.mark.parametrize("hang", ["spin", "hold_the_interpreter", "crash", "leave"])
def test_a_worker_that_hangs_or_dies_is_replaced(hang: str):
    with Workers(1) as pool:
        with pytest.raises(CallError):
            pool.call(f"grading_calls:{hang}", "x", "y", cpu_s=0.3)
        assert pool.call("grading_calls:echo", "x", "y") == ["x", "y"]


def test_a_worker_that_sleeps_is_replaced_too():
    with Workers(1) as pool:
        started = time.monotonic()
        with pytest.raises(CallError, match="no reply within"):
            pool.call("grading_calls:sleep", "x", "y", cpu_s=0.1)
        assert time.monotonic() - started < 5


def test_what_a_call_raises_or_prints_is_told_apart_from_what_it_returns():
    with Workers(1) as pool:
        with pytest.raises(CallError, match="KeyError: 'x'"):
            pool.call("grading_calls:fail", "x", "y")
        assert pool.call("grading_calls:chatter", "x", "y") == "quiet"


@pytest.mark.parametrize("busy", ["sleep", "spin", "hold_the_interpreter"])
def test_a_worker_does_not_outlive_a_parent_that_is_killed(busy: str):
    program = f"""
import threading
from raysweep.workers import Workers
pool = Workers(1)
print(pool.call("grading_calls:process_id", "x", "y"), flush=True)
pool.call("grading_calls:{busy}", "x", "y", cpu_s=1)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 20
    while running(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not running(worker)


def running(process_id: int) -> bool:
    try:
        with open(f"/proc/{process_id}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


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

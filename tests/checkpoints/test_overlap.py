"""Whether a calibration text contains a test question, with or without the benchmark's instructions."""

import random

import pytest

from raysweep.checkpoints.overlap import RUN_WORDS, check_no_test_question, contained
from raysweep.errors import ConfigError
from raysweep.recipe import Document
from raysweep.spec import Question

INSTRUCTIONS = (
    " Please reason step by step, and put your final answer within boxed braces, as a number."
)
RNG = random.Random(0)
WORDS = [f"w{number}" for number in range(2000)]


def words(count: int) -> str:
    return " ".join(RNG.choices(WORDS, k=count))


PROBLEMS = [words(RUN_WORDS + 5) for _ in range(4)]
QUESTIONS = [Question(f"q{i}", text + INSTRUCTIONS, "1") for i, text in enumerate(PROBLEMS)]


def document(text: str, prompt: str = "") -> list[Document]:
    return [Document("", words(50)), Document(prompt, text)]


def test_a_problem_is_found_though_the_instructions_of_its_benchmark_are_missing():
    assert contained(document(f"{words(9)} {PROBLEMS[2].upper()}! {words(9)}"), QUESTIONS) == "q2"
    assert contained(document(words(9), prompt=PROBLEMS[1]), QUESTIONS) == "q1"


def test_the_instructions_that_all_questions_share_are_no_question():
    assert contained(document(words(9) + INSTRUCTIONS + words(9)), QUESTIONS) is None


def test_fewer_words_in_a_row_are_chance():
    part = " ".join(PROBLEMS[0].split()[: RUN_WORDS - 1])
    assert contained(document(f"{part} {words(30)}"), QUESTIONS) is None


def test_a_question_of_few_words_is_found_whole():
    short = [Question("short", "a=1;b=a+2;b?", "3")]
    assert contained(document("so a=1;b=a+2;b? is 3"), short) == "short"
    assert contained(document("so a=1;b=a+3;b? is 4"), short) is None


def test_the_error_names_field_question_and_way_out():
    with pytest.raises(
        ConfigError, match=r"calibration: it contains the test question q3, .*; draw"
    ):
        check_no_test_question(document(PROBLEMS[3]), QUESTIONS, "calibration", "draw others")

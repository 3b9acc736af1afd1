"""Grading: from an answer's text to what it says and whether that is right.

Five outcomes, never merged: `correct`, `wrong`, `unanswered` (a text with nothing to extract in it),
`cut_off` (no room to answer) and `error` (the grader failed). The last answer in a text counts, and two
answers are equal if their canonical forms are. An answer is None where there is nothing to vote with.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["correct", "wrong", "unanswered", "cut_off", "error"]

# A number that is no part of a word or of a decimal fraction; a sign after a digit is an operator.
INTEGER = re.compile(r"(?<![\w.])(-|\+|)([0-9]+)(?!\w|\.[0-9])")
CHOICE = re.compile(r"(?<!\w)[A-H](?!\w)")  # stops before "I", which is a word
LETTER = re.compile(r"(?<!\w)[a-z](?!\w)")


@dataclass(frozen=True)
class Graded:
    answer: str | None
    outcome: Outcome


def outcome_of(grader: str, text: str, gold: str, ended: bool) -> Graded:
    """Grade an answer that came to its end; one that ran into its token limit is `cut_off`."""
    return grade(grader, text, gold) if ended else Graded(None, "cut_off")


def grade(grader: str, text: str, gold: str) -> Graded:
    """Grade a whole answer; what goes wrong inside the grader is the outcome `error`."""
    extract = GRADERS[grader]
    try:
        answer, expected = extract(text), extract(gold)
    except Exception:
        return Graded(None, "error")
    if expected is None:
        return Graded(None, "error")
    if answer is None:
        return Graded(None, "unanswered")
    return Graded(answer, "correct" if answer == expected else "wrong")


def last_integer(text: str) -> str | None:
    """The last whole number, without leading zeros and plus sign: "so 7, no: +08." gives "8"."""
    found = INTEGER.findall(text.replace("\N{MINUS SIGN}", "-"))
    if not found:
        return None
    sign, digits = found[-1]
    magnitude = digits.lstrip("0") or "0"
    return f"-{magnitude}" if sign == "-" and magnitude != "0" else magnitude


def last_choice(text: str) -> str | None:
    """The last letter A to H that stands alone: "(B) rather than C" gives "C"."""
    found = CHOICE.findall(text)
    return found[-1] if found else None


def last_letter(text: str) -> str | None:
    """The last lower-case letter that stands alone: "The answer is q" gives "q"."""
    found = LETTER.findall(text)
    return found[-1] if found else None


GRADERS: dict[str, Callable[[str], str | None]] = {
    "integer": last_integer,
    "choice": last_choice,
    "letter": last_letter,
}

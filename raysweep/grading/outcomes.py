"""What grading says of an answer.

Five outcomes, never merged: `correct`, `wrong`, `unanswered` (a text with nothing to extract in it),
`cut_off` (no room to answer) and `error` (the grader failed). An answer is None where there is nothing
to vote with.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple, get_args

Outcome = Literal["correct", "wrong", "unanswered", "cut_off", "error"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Graded:
    answer: str | None
    outcome: Outcome


class Said(NamedTuple):
    """A text to grade: all after the thinking, and whether it ended by itself, not at its limit.

    given_up  its generation took too long: nobody knows what it would have said
    """

    text: str
    ended: bool
    gold: str
    given_up: bool = False


class Nothing(Enum):
    """Why no answer was extracted; the values are outcomes."""

    UNANSWERED = "unanswered"
    CUT_OFF = "cut_off"


def nothing(ended: bool) -> Nothing:
    """What a text without an answer is: it might have come, had there been room."""
    return Nothing.UNANSWERED if ended else Nothing.CUT_OFF

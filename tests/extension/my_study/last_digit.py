"""A grader: a number is right if its last digit is."""

import re

from raysweep.grading import Nothing, word_grader


def last_digit(text: str, ended: bool) -> str | Nothing:
    """The last digit of a text that ended by itself; one that was cut might have gone on."""
    if not ended:
        return Nothing.CUT_OFF
    digits = re.findall(r"\d", text)
    return digits[-1] if digits else Nothing.UNANSWERED


GRADER = word_grader(last_digit, version=1)

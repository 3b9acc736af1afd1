"""Answers that stand in the text as a word of their own: the last whole number, the last small letter.

For benchmarks with short, plain answers, such as the embedded ones. Nothing marks where such an answer
ends, so a text that ran into its limit has none, whatever it says.
"""

import re

from raysweep.grading.outcomes import Nothing, nothing

# A number that is no part of a word or of a decimal fraction; a sign after a digit is an operator.
INTEGER = re.compile(r"(?<![\w.])(-|\+|)([0-9]+)(?!\w|\.[0-9])")
LETTER = re.compile(r"(?<!\w)[a-z](?!\w)")


def last_integer(text: str, ended: bool) -> str | Nothing:
    """The last whole number, without leading zeros and plus sign: "so 7, no: +08." gives "8"."""
    found = INTEGER.findall(text.replace("\N{MINUS SIGN}", "-")) if ended else []
    if not found:
        return nothing(ended)
    sign, digits = found[-1]
    magnitude = digits.lstrip("0") or "0"
    return f"-{magnitude}" if sign == "-" and magnitude != "0" else magnitude


def last_letter(text: str, ended: bool) -> str | Nothing:
    """The last lower-case letter that stands alone: "The answer is q" gives "q"."""
    found = LETTER.findall(text) if ended else []
    return found[-1] if found else nothing(ended)

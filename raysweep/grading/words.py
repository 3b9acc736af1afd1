r"""Answers that stand in the text as a word of their own: the last whole number, the last small letter.

For benchmarks with short, plain answers, such as the embedded ones. Nothing marks where such an answer
ends, so a text that ran into its limit has none, whatever it says.

Thousands may be grouped in threes: "1,234", "1{,}234", "1 234" with a narrow space. A plain space groups only
where nothing else is said, because elsewhere it stands between numbers. A comma with a space after it, or
with other than three digits, stands between numbers too.
"""

import re

from raysweep.grading.outcomes import Nothing, nothing

APART = r"(?:\{,\}|,)(?:\\!)?|\\[,;: ]|[~'\u2019\u00a0\u2009\u202f]"
GROUPED = rf"[1-9][0-9]{{0,2}}+(?P<apart>{APART})[0-9]{{3}}(?:(?P=apart)[0-9]{{3}}){{0,9}}(?!{APART}?[0-9])"
# A number that is no part of a word; a sign after a digit is an operator. What has a fraction is not whole.
NUMBER = re.compile(rf"(?<![\w.])([-+]?)({GROUPED}|[0-9]++)(\.[0-9]+)?(?!\w|\.[0-9])")
SPACED = re.compile(r"\s*([-+]?[1-9][0-9]{0,2}(?: [0-9]{3})+)\.?\s*")
MINUS = "\N{MINUS SIGN}\N{EN DASH}\N{FULLWIDTH HYPHEN-MINUS}"
WIDE_DIGITS = "".join(chr(ord("\N{FULLWIDTH DIGIT ZERO}") + digit) for digit in range(10))
WIDER = str.maketrans(MINUS + WIDE_DIGITS, "---0123456789")
# No letter of "isn't" or of "e.g.", and no article.
LETTER = re.compile(
    r"(?<!\w)(?<!\w['\u2019.])[a-z](?!\w|['\u2019.]\w)(?<!a(?=\s(?!because|since|as|and|or|is)[a-z]{2}))"
)


def last_integer(text: str, ended: bool) -> str | Nothing:
    """The last whole number, without leading zeros and plus sign: "so 7, no: +08." gives "8"."""
    if not ended:
        return Nothing.CUT_OFF
    if not text.isascii():
        text = text.translate(WIDER)
    if " " in text and (alone := SPACED.fullmatch(text)):
        text = alone[1].replace(" ", "")
    whole = [found for found in NUMBER.findall(text) if not found[3]]
    return shortest(*whole[-1][:2]) if whole else Nothing.UNANSWERED


def shortest(sign: str, digits: str) -> str:
    """The number without what groups its digits, zeros in front, and a sign that says nothing."""
    if not digits.isdigit():
        digits = re.sub("[^0-9]", "", digits)
    magnitude = digits.lstrip("0") or "0"
    return f"-{magnitude}" if sign == "-" and magnitude != "0" else magnitude


def last_letter(text: str, ended: bool) -> str | Nothing:
    """The last lower-case letter that stands alone: "The answer is q" gives "q"."""
    found = LETTER.findall(text) if ended else []
    return found[-1] if found else nothing(ended)

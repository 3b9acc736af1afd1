r"""Mathematics: what the last whole box says, or what a text without one states as its answer.

Nearly all answers are plain numbers: those are read here, exactly, without loading a computer algebra
system. The rest is `symbolic`'s, in a worker process. A number has one canonical form (70, 3/2), so that
votes can be counted; where an answer has none it stays as it was written.
"""

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from raysweep.grading.boxes import last_box, open_box
from raysweep.grading.outcomes import Graded, Nothing
from raysweep.grading.spelling import in_latex, is_percent, spelled, undressed, without_percent
from raysweep.grading.stating import stated

LONGEST = 2000  # characters of a text without a box; an answer stands at its end
MOST_DIGITS = 1000
SIGNIFICANT = 6  # digits to which a decimal fraction must equal a number that has none

WHOLE = re.compile(rf"\\boxed\{{([+-]?\d{{1,{MOST_DIGITS}}})\}}")
NUMBER = r"[+-]?\s*(?:\d+\.?\d*|\.\d+)"
DECIMAL = re.compile(
    rf"({NUMBER})(?:\s*\\(?:times|cdot)\s*10\s*\^\s*(?:\{{\s*([+-]?\d{{1,3}})\s*\}}|(\d)))?"
)
FRACTION = re.compile(
    rf"([+-]?)\s*(\d*)\s*\\frac\s*(?:\{{\s*({NUMBER})\s*\}}|(\d))\s*(?:\{{\s*({NUMBER})\s*\}}|(\d))"
    rf"|({NUMBER})\s*/\s*({NUMBER})"
)
CANONICAL = re.compile(r"[-\d/.,e≈∞i+\N{UNION}{}()\[\] ]+|\d[\dA-F]*_\d+")
BASED = re.compile(r"(\d[\dA-F]*)(?:_(\d+))?")

TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|textrm)\s*\{([^{}]*)\}")
WORD = re.compile(r"[A-Za-z]{2}")
NO_TEXT = re.compile(r"(?i)and|sin|cos|tan|log|sqrt|infinity|pi|all real numbers")
OPENING = re.compile(
    r"(?:(?:the |final |correct )*answer\s*(?:is|:)\s*)?(?:(?:it|this|that|he|she)(?: is|'s) )?"
    r"(?:(?:an?|the|on|at|in) )?"
)
NO_SOLUTION = re.compile(
    r"emptyset|varnothing|∅|(?:no|the empty|empty) (?:real )?(?:solutions?|set)"
)
OPTION = re.compile(r"(?:option|choice)?\s*(?:\(\s*([a-h])\s*\)|([a-h])(?:[).:]|\s*$))")
WORKED = re.compile(r"[a-z]{2}[.:]\s+[A-Z]|[A-Za-z]{3}[^\n]*\n[^\n]*[A-Za-z]{3}|\\boxed\b")
MARKED = "####"  # what stands before the answer in the solutions of GSM8K


class Number(NamedTuple):
    """A rational number, and whether it was written as a decimal fraction, so perhaps rounded."""

    value: Fraction
    decimal: bool = False


def extract(text: str, ended: bool) -> str | Nothing:
    """The answer in its box; what the text states, or its end, where no box was opened."""
    box, opened = (
        last_box(text),
        open_box(text),
    )
    if not ended and (box is None or opened is not None):
        return Nothing.CUT_OFF
    if box is None and opened is not None:
        box = opened.split("\n")[0]
    if box is not None:
        return boxed(box) if spelled(box).strip("\\ ") else Nothing.UNANSWERED
    end = text.strip()[-LONGEST:]
    said = stated(end)
    return boxed(said) if said else in_latex(end) or Nothing.UNANSWERED


def boxed(expression: str) -> str:
    return f"\\boxed{{{expression}}}"


# How a text states an answer; each gold answer must be correct in every one (see `Grader.stated`).
STATED = (
    boxed,
    lambda gold: f"The answer is ${gold}$.",
    lambda gold: f"So it is $\\boxed{{\\displaystyle {gold}\\,.}}$, as was to be shown.",
)


def judge(answer: str, gold: str) -> Graded | None:
    """The outcome where plain reading decides it; None where algebra must."""
    gold = answer_of(gold)
    said, expected = number(answer), number(gold)
    if said is not None and expected is not None:
        same = equal_numbers(said, expected) or _is_percentage(answer, said, gold, expected)
        return Graded(str(said.value), "correct" if same else "wrong")
    if BASED.fullmatch(base := spelled(gold)) and BASED.fullmatch(in_base := spelled(answer)):
        return Graded(in_base, "correct" if _same_digits(in_base, base) else "wrong")
    return judge_text(answer, gold)


def judge_text(answer: str, gold: str) -> Graded | None:
    """The outcome where words or the letter of an option are asked for."""
    said, expected = plain_text(answer), plain_text(gold)
    letter = OPTION.fullmatch(expected)
    if letter and (chosen := OPTION.match(said)):
        return Graded(said, "correct" if _letter(chosen) == _letter(letter) else "wrong")
    if said == expected == "no solution":
        return Graded(said, "correct")
    if is_text(gold) and WORD.search(last_box(answer) or answer):
        return Graded(said, "correct" if said == expected else "wrong")
    return None


def check_gold(gold: str) -> None:
    """Raise ValueError for a gold answer that nobody can meet. Whether algebra reads it is seen later."""
    answer = answer_of(gold)
    if not answer.strip():
        raise ValueError("the gold answer is empty")
    if last_box(boxed(answer)) is None:
        raise ValueError("its braces are not balanced")
    if answer.strip(" $").casefold() in ("nan", "none", "null", "n/a"):
        raise ValueError("it stands for a missing value")
    if WORKED.search(answer):
        raise ValueError("it is a worked solution; give the answer alone")


def answer_of(gold: str) -> str:
    """What is asked for: all of it, the end of a solution as GSM8K has it, or what is in its box."""
    answer = gold.rpartition(MARKED)[2].strip()
    return last_box(answer) or answer if answer.startswith("\\boxed") else answer


@lru_cache(maxsize=4096)
def number(text: str) -> Number | None:
    """The value of a text that is one number and nothing else, however it is dressed."""
    if whole := WHOLE.fullmatch(text):
        return Number(Fraction(int(whole[1])))
    plain = without_percent(spelled(text))
    if len(plain) > MOST_DIGITS:
        return None
    if found := DECIMAL.fullmatch(plain):
        value = Fraction(_joined(found[1])) * Fraction(10) ** int(found[2] or found[3] or 0)
        return Number(value, value.denominator != 1)
    if found := FRACTION.fullmatch(plain):
        return _fraction(*found.groups())
    return None


def equal_numbers(one: Number, other: Number) -> bool:
    """Exactly, or to six digits where a decimal fraction stands for a number that has none."""
    if one.value == other.value:
        return True
    if one.decimal == other.decimal or (_ends(one.value) and _ends(other.value)):
        return False
    return rounded(one.value) == rounded(other.value)


def rounded(value: Fraction) -> str:
    return f"{Decimal(value.numerator) / Decimal(value.denominator):.{SIGNIFICANT - 1}e}"


def is_text(gold: str) -> bool:
    r"""Whether a gold answer is words, not an expression: "Evelyn", "\text{east}", "June 20"."""
    words = plain_text(gold)
    marked = bool(TEXT_COMMAND.match(gold.strip().strip("$")))
    first = re.match(r"[a-z]+", words)
    return (
        "\\" not in TEXT_COMMAND.sub("", gold)
        and bool(re.fullmatch(r"[a-z][a-z\d ,.'-]*", words))
        and first is not None
        and not NO_TEXT.match(words)
        and (marked or len(first[0]) > 3)
    )


def plain_text(text: str) -> str:
    """In lower case, without text commands, delimiters and what opens a sentence."""
    bare = TEXT_COMMAND.sub(r"\1", undressed(last_box(text) or text))
    plain = " ".join(bare.strip("$.*\\ \n").casefold().split())
    plain = plain[OPENING.match(plain).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    if NO_SOLUTION.fullmatch(plain):
        return "no solution"
    return plain if OPTION.match(plain) else plain.strip("()")


def has_canonical_form(answer: str) -> bool:
    """Whether equal answers in this form are equal texts; others must be compared by algebra."""
    return CANONICAL.fullmatch(answer) is not None


def _fraction(sign: str | None, whole: str | None, *parts: str | None) -> Number | None:
    above, below = (Fraction(_joined(part)) for part in parts if part)
    if not below:
        return None
    value = int(whole or 0) + above / below
    return Number(-value if sign == "-" else value)


def _joined(written: str) -> str:
    return "".join(written.split())


def _ends(value: Fraction) -> bool:
    """Whether it has a finite decimal fraction."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _is_percentage(answer: str, said: Number, gold: str, expected: Number) -> bool:
    """Whether one of them is written as a percentage, and the other as its hundredth."""
    in_percent, of_gold = is_percent(spelled(answer)), is_percent(spelled(gold))
    if in_percent == of_gold:
        return False
    percentage, share = (said, expected) if in_percent else (expected, said)
    return equal_numbers(percentage._replace(value=percentage.value / 100), share)


def _same_digits(one: str, other: str) -> bool:
    """Whether two numerals have the same digits, and the same base where both name one."""
    (digits, base), (others, other_base) = (BASED.fullmatch(n).groups() for n in (one, other))  # type: ignore[union-attr]
    return digits == others and (base == other_base or None in (base, other_base))


def _letter(option: re.Match[str]) -> str:
    return option[1] or option[2]

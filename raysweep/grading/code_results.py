"""Whether a program's output, or a function's result, is the expected one.

As LiveCodeBench compares them: texts line by line, lines of numbers by value, results as JSON. Where a
benchmark allows a tolerance t, numbers that are not both whole may differ: |a - b| <= t * max(1, |b|), as
contests that print real numbers judge them. Whole numbers are exact always.
"""

import re
from decimal import Decimal
from typing import Any

from raysweep.system.json_text import parsed_json

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def same_text(said: str, expected: str, tolerance: float | None = None) -> bool:
    """Equal line by line, spaces at the ends aside; numbers are equal by value."""
    ours, theirs = said.strip().split("\n"), expected.strip().split("\n")
    return len(ours) == len(theirs) and all(
        same_line(*lines, tolerance) for lines in zip(ours, theirs, strict=True)
    )


def same_line(said: str, expected: str, tolerance: float | None = None) -> bool:
    if said.strip() == expected.strip():
        return True
    ours, theirs = said.split(), expected.split()
    return len(ours) == len(theirs) and all(
        same_word(*words, tolerance) for words in zip(ours, theirs, strict=True)
    )


def same_word(said: str, expected: str, tolerance: float | None) -> bool:
    """Equal as numbers; where there is a tolerance, words may stand between the numbers."""
    if not (NUMBER.fullmatch(said) and NUMBER.fullmatch(expected)):
        return tolerance is not None and said == expected
    whole = WHOLE.fullmatch(said) and WHOLE.fullmatch(expected)
    try:
        return near(said, expected, None if whole else tolerance)
    except ArithmeticError:  # an exponent beyond all reason
        return False


def same_result(said: str, expected: str, tolerance: float | None = None) -> bool:
    """Equal as JSON. Whole numbers are read as decimals, which may have any number of digits."""
    try:
        ours, theirs = (parsed_json(text, parse_int=Decimal) for text in (said, expected))
        return same_value(ours, theirs, tolerance)
    except (ValueError, ArithmeticError, RecursionError):
        return False


def same_value(ours: Any, theirs: Any, tolerance: float | None) -> bool:
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(
            same_value(*pair, tolerance) for pair in zip(ours, theirs, strict=True)
        )
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(
            same_value(ours[key], theirs[key], tolerance) for key in theirs
        )
    return ours == theirs or (real(ours, theirs) and near(ours, theirs, tolerance))


def real(*values: Any) -> bool:
    """Whether all are numbers, and not all are whole."""
    return all(type(value) in (Decimal, float) for value in values) and float in map(type, values)


def near(said: Any, expected: Any, tolerance: float | None) -> bool:
    """Whether two numbers are equal, or finite and within the tolerance."""
    ours, theirs = Decimal(said), Decimal(expected)
    if ours == theirs or tolerance is None or not (ours.is_finite() and theirs.is_finite()):
        return ours == theirs
    return abs(ours - theirs) <= Decimal(repr(tolerance)) * max(Decimal(1), abs(theirs))

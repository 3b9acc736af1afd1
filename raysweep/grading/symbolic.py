r"""Algebra by math-verify and sympy: what a text says, whether it is the gold answer, its canonical form.

Imported in worker processes only: it is slow to load, uses signals, and may hang or eat memory. A
constant's form is exact where it is rational, and otherwise its value to twelve digits; sets, tuples,
intervals and matrices are written by their members. Expressions with variables have none.
"""

import re
import resource
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import sympy
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse
from sympy.core.relational import Relational

from raysweep.grading.boxes import last_box
from raysweep.grading.equality import (
    LARGEST_EXPONENT,
    NO_LIMIT,
    POINTS,
    at_point,
    same,
    solutions,
    value_of,
)
from raysweep.grading.mathematics import SIGNIFICANT, answer_of, boxed
from raysweep.grading.sandboxed import at_most
from raysweep.grading.spelling import is_percent, spelled, without_percent

MEMORY_BYTES = 4 << 30
DIGITS = 12
RELATION = re.compile(r"[<>]|\\(?:le|ge|lt|gt|ne)(?![a-z])")
ALTERNATIVES = re.compile(r"\s*,?\s*(?:\\text\w*\s*\{\s*,?\s*or\s*\}|\bor\b|\\lor|\\vee)\s*")
TOGETHER = re.compile(r"\s*,?\s*(?:\\text\w*\s*\{\s*,?\s*and\s*\}|\band\b|\\land|\\wedge)\s*")
FREE_SPACE = re.compile(r"(?<!\w)\s+|\s+(?!\w)")

resource.setrlimit(
    resource.RLIMIT_AS,
    (at_most(resource.RLIMIT_AS, MEMORY_BYTES), resource.getrlimit(resource.RLIMIT_AS)[1]),
)


@lru_cache(maxsize=1 << 16)
def grade(text: str, gold: str) -> tuple[str | None, str]:
    """(answer or None, outcome) of a box, or of a text without one."""
    gold = answer_of(gold)
    expected, said = read(boxed(gold)), read(text)
    if not expected:
        return None, "error"
    if not said:
        return None, "unanswered"
    right = _same(expected, said) or _is_percentage(text, said, gold, expected)
    return written(said), "correct" if right else "wrong"


def equal(one: str, other: str) -> bool:
    """Whether two written answers are one; symmetric, unlike the question of grading."""
    a, b = read(boxed(one)), read(boxed(other))
    if _is_equation(a) != _is_equation(b):
        return False  # x + y = 3 is not 3, unlike in an answer to a question whose answer is 3
    return _same(a, b) or _same(b, a)


def _is_equation(said: tuple[Any, ...]) -> bool:
    return isinstance(value_of(said[0]), sympy.Eq)


def _same(expected: tuple[Any, ...], said: tuple[Any, ...]) -> bool:
    """By their source if it is the same, by their values if they have been read."""
    if _squeezed(expected[-1]) == _squeezed(said[-1]):
        return True
    a, b = expected[0], said[0]
    return not isinstance(a, str) and not isinstance(b, str) and same(a, b)


def _squeezed(source: Any) -> str:
    return FREE_SPACE.sub("", str(source))


def _is_percentage(text: str, said: tuple[Any, ...], gold: str, expected: tuple[Any, ...]) -> bool:
    """Whether one of them is written as a percentage, and the other as its hundredth."""
    in_percent, of_gold = is_percent(spelled(text)), is_percent(spelled(gold))
    if in_percent == of_gold or not all(isinstance(one[0], sympy.Expr) for one in (said, expected)):
        return False
    percentage, share = (said[0], expected[0]) if in_percent else (expected[0], said[0])
    return same(percentage / 100, share)


def fingerprint(text: str) -> str:
    """Equal for equal answers, and seldom for others: the value where each variable has its own number."""
    value = value_of(read(boxed(text))[0])
    if isinstance(value, sympy.Expr):
        return str(sympy.N(at_point(value, POINTS[0]), SIGNIFICANT))
    if isinstance(value, str):
        return f"text {value}"
    kinds = (sympy.Eq, sympy.MatrixBase, sympy.Basic)
    return next(kind.__name__ for kind in kinds if isinstance(value, kind))


@lru_cache(maxsize=4096)
def read(text: str) -> tuple[Any, ...]:
    """What math-verify makes of it: an expression and its source, the source alone, or nothing."""
    box = last_box(text)
    if box is None:
        configs = [LatexExtractionConfig(), ExprExtractionConfig()]
        return tuple(map(_plain, parse(text, configs, parsing_timeout=NO_LIMIT)))
    plain = without_percent(spelled(box))
    found = _relations(plain) or _parsed(plain) or (plain,)
    if isinstance(found[0], str) and "=" in plain:  # a name in front that is no expression
        found = _parsed(plain.rpartition("=")[2]) or found
    return found


def _parsed(plain: str) -> tuple[Any, ...]:
    found = parse(boxed(plain), [LatexExtractionConfig()], parsing_timeout=NO_LIMIT)
    return (*map(_plain, found[:-1]), plain) if found else ()


def _relations(plain: str) -> tuple[Any, ...]:
    """Inequalities of which one must hold, or all: "x < 2 or x > 3"."""
    for between, kind in ((ALTERNATIVES, sympy.Or), (TOGETHER, sympy.And)):
        parts = between.split(plain)
        if len(parts) > 1 and all(map(RELATION.search, parts)):
            values = [value for part in parts for value in _parsed(part)[:1]]
            if all(isinstance(value, Relational | sympy.And) for value in values):
                return kind(*values), plain
    return ()


def _plain(value: Any) -> Any:
    """With variables that differ by their names only; i is the imaginary unit, if no sum counts with it."""
    if not isinstance(value, sympy.Basic | sympy.MatrixBase):
        return value
    if isinstance(value, sympy.And) and all(isinstance(one, sympy.Eq) for one in value.args):
        value = _chain(value)
    if isinstance(value, sympy.Eq):
        return sympy.Eq(_plain(value.lhs), _plain(value.rhs), evaluate=False)
    if isinstance(value, sympy.MatrixExpr):
        value = value.doit()
    names = {symbol: sympy.Symbol(str(symbol)) for symbol in value.atoms(sympy.Symbol)}
    if not value.has(sympy.Sum, sympy.Product):
        names = {symbol: sympy.I if str(new) == "i" else new for symbol, new in names.items()}
    return value.xreplace(names)


def _chain(value: Any) -> Any:
    """The first and the last side of a chain of equations: m + n = 33 + 37 = 70."""
    parts = getattr(value, "_unsorted_args", value.args)
    return sympy.Eq(parts[0].lhs, parts[-1].rhs, evaluate=False)


def written(said: tuple[Any, ...]) -> str:
    """The canonical form of what was read, or else its source without superfluous spaces."""
    try:
        return canonical(said[0])
    except Exception:  # no constant, or one that sympy cannot evaluate
        return " ".join(str(said[-1]).split())


def canonical(value: Any) -> str:
    """One text for all spellings of a constant, or of a collection of constants.

    Raises ValueError, or what sympy raises, where there is none.
    """
    if isinstance(value, sympy.MatrixBase):
        return f"[{_joined(f'[{_joined(map(canonical, row))}]' for row in value.tolist())}]"
    value = value_of(value)
    if isinstance(value, Relational | sympy.And | sympy.Or):
        value = solutions(value)
    if isinstance(value, sympy.FiniteSet | sympy.Union):
        apart = " \N{UNION} " if isinstance(value, sympy.Union) else ", "
        return "{" + apart.join(sorted(map(canonical, value.args))) + "}"
    if isinstance(value, sympy.Tuple):
        return f"({_joined(map(canonical, value.args))})"
    if isinstance(value, sympy.Interval):
        opening, closing = "(" if value.left_open else "[", ")" if value.right_open else "]"
        return f"{opening}{canonical(value.start)}, {canonical(value.end)}{closing}"
    if isinstance(value, sympy.Expr) and value.is_number:
        return constant(value)
    raise ValueError("no canonical form")


def constant(value: sympy.Expr) -> str:
    """A number: 70, -3/2, ≈1.41421356237, ∞, or the sum of its real and imaginary part."""
    if any(abs(sympy.N(power.exp)) > LARGEST_EXPONENT for power in value.atoms(sympy.Pow)):
        raise ValueError("too many digits")
    done = value.doit()
    if done.is_infinite or done is sympy.nan:
        if not done.is_extended_real:
            raise ValueError("no number")
        return "∞" if done.is_extended_positive else "-∞"
    real, imaginary = done.as_real_imag()
    if imaginary != 0:
        return f"{_real(real)} + {_real(imaginary)}i"
    return _real(real)


def _real(value: Any) -> str:
    if value.is_Float:
        return str(sympy.Rational(str(value)))
    if value.is_Rational:
        return str(value)
    approximate = sympy.N(value, 2 * DIGITS)
    nearest = round(approximate)
    if abs(approximate - nearest) < sympy.Float(10) ** -(2 * DIGITS - 4):
        return str(nearest)
    return f"≈{sympy.Float(approximate, DIGITS)}"


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts)

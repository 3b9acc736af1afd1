r"""Algebra by math-verify and sympy: equality of expressions, and a canonical form of constants.

Imported in worker processes only: it is slow to load, uses signals, and may hang or eat memory. A
constant's form is exact where it is rational, and otherwise its value to twelve digits; sets, tuples,
intervals and matrices are written by their members. Expressions with variables have none.
"""

import resource
import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import sympy
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify
from sympy.core.relational import Relational

from raysweep.grading.boxes import last_box
from raysweep.grading.mathematics import boxed, undressed

MEMORY_BYTES = 4 << 30
DIGITS = 12
LARGEST_EXPONENT = 1000
NO_LIMIT = 0  # of math-verify: the worker has its own

resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))


@lru_cache(maxsize=1 << 16)
def grade(text: str, gold: str) -> tuple[str | None, str]:
    """(answer or None, outcome) of a box, or of a text without one."""
    expected, said = read(boxed(gold)), read(text)
    if not expected:
        return None, "error"
    if not said:
        return None, "unanswered"
    return written(said), "correct" if _same(expected, said) else "wrong"


def equal(one: str, other: str) -> bool:
    """Whether two written answers are one; symmetric, unlike math-verify's question."""
    a, b = read(boxed(one)), read(boxed(other))
    return _same(a, b) or _same(b, a)


def _same(expected: tuple[Any, ...], said: tuple[Any, ...]) -> bool:
    return verify(
        list(expected), list(said), allow_set_relation_comp=True, timeout_seconds=NO_LIMIT
    )


def fingerprint(text: str) -> str:
    """Equal for equal answers, and seldom for others: the value where each variable has its own number."""
    value = read(boxed(text))[0]
    if isinstance(value, sympy.Eq) and value.lhs.is_Symbol:
        value = value.rhs
    if isinstance(value, sympy.Expr):
        at = {
            x: sympy.Rational(1 + zlib.crc32(str(x).encode()), 1 << 31) for x in value.free_symbols
        }
        return str(sympy.N(value.xreplace(at), DIGITS).round(DIGITS // 2))
    kinds = (Relational, sympy.Set, sympy.MatrixBase, sympy.Basic)
    return next((kind.__name__ for kind in kinds if isinstance(value, kind)), f"text {value}")


@lru_cache(maxsize=4096)
def read(text: str) -> tuple[Any, ...]:
    """What math-verify makes of it: an expression and its source, the source alone, or nothing."""
    box = last_box(text)
    if box is None:
        return tuple(
            parse(text, [LatexExtractionConfig(), ExprExtractionConfig()], parsing_timeout=NO_LIMIT)
        )
    plain = undressed(box)
    return tuple(parse(boxed(plain), [LatexExtractionConfig()], parsing_timeout=NO_LIMIT)) or (
        plain,
    )


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
    if isinstance(value, sympy.Eq) and value.lhs.is_Symbol:
        return canonical(value.rhs)  # math-verify takes "x = 5" for 5
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
    if done.is_infinite:
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

r"""Whether two sympy values are the same answer: exact where both are exact, otherwise relative.

Constants are compared by 30 digits of each, so 1/2^99 is not 1/2^98. Expressions with variables are
compared by their values at a few points, an identity test (Schwartz 1980, Zippel 1979); a decimal fraction
counts as a number that has none if both agree to six digits. Collections are compared member by member.
What is left, such as a tuple against a list, is math-verify's question.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import sympy
from math_verify import verify
from sympy.core.relational import Relational

from raysweep.grading.mathematics import SIGNIFICANT

DIGITS = 30
TOLERANCE = sympy.Float(10) ** (5 - DIGITS)
LARGEST_EXPONENT = 10_000
NO_LIMIT = 0  # of math-verify: the worker has its own
MOST_MEMBERS = 50
POINTS = (
    sympy.Rational(7, 3),
    sympy.Rational(-5, 7),
    sympy.Rational(31, 11),
    sympy.Rational(-43, 13),
)
ENOUGH = 2  # points at which both have a value


def same(expected: Any, said: Any) -> bool:
    """Whether `said` is the answer `expected`; not symmetric, a name in front may be left out."""
    if not isinstance(expected, sympy.Eq) or not isinstance(said, sympy.Eq):
        expected, said = value_of(expected), value_of(said)
        if isinstance(said, sympy.Eq):
            said = said.rhs  # m + n = 70
    elif (
        value_of(expected) is not expected
        and value_of(said) is not said
        and expected.lhs == said.lhs
    ):
        expected, said = expected.rhs, said.rhs
    for kind, compare in COMPARED:
        if isinstance(expected, kind) and isinstance(said, kind):
            found = compare(expected, said)
            if found is not None:
                return found
    found = _as_sets(expected, said)
    return _verified(expected, said) if found is None else found


def value_of(value: Any) -> Any:
    """What an assignment assigns: 5 of "x = 5", {1, 2} of "x_1 = 1, x_2 = 2", (1, 2) of "x = 1, y = 2"."""
    if isinstance(value, sympy.Eq) and isinstance(value.lhs, sympy.Symbol | sympy.Tuple):
        return value.rhs
    members: list[Any] = list(value.args) if isinstance(value, sympy.FiniteSet) else []
    if members and all(map(_is_assignment, members)):
        named = {str(one.lhs): one.rhs for one in members}
        if len({name.partition("_")[0] for name in named}) == len(members) > 1:
            return sympy.Tuple(*(named[name] for name in sorted(named)))
        return sympy.FiniteSet(*(one.rhs for one in members))
    return value


def _is_assignment(value: Any) -> bool:
    return isinstance(value, sympy.Eq) and value.lhs.is_Symbol


# Numbers and expressions


def exact(value: Any) -> Any:
    """With the fraction that each decimal fraction is, and the constants computed if they are small."""
    value = value.xreplace({one: sympy.Rational(str(one)) for one in value.atoms(sympy.Float)})
    if any(abs(sympy.N(power.exp)) > LARGEST_EXPONENT for power in _powers(value)):
        return value
    return value.doit()


def _powers(value: Any) -> list[Any]:
    return [power for power in value.atoms(sympy.Pow) if power.exp.is_number]


def _expressions(one: sympy.Expr, other: sympy.Expr) -> bool | None:
    a, b = exact(one), exact(other)
    if a is sympy.zoo or a is sympy.nan:  # a division by zero equals nothing
        return False
    if a == b:
        return True
    if a.free_symbols != b.free_symbols and not (a.free_symbols and b.free_symbols):
        return False if not _vanish(a, b) else None
    if not a.free_symbols:
        equal = _constants(a, b)
        return _rounded(one, other, a, b) if equal is False else equal
    return _agree(a, b, lambda x, y: _close(x, y))


def _vanish(a: Any, b: Any) -> bool:
    """Whether symbols may cancel, as in x - x."""
    return not a.is_Atom and not b.is_Atom


def _constants(a: Any, b: Any) -> bool | None:
    if a.is_Rational and b.is_Rational:
        return bool(a == b)
    x, y = sympy.N(a, DIGITS), sympy.N(b, DIGITS)
    return _close(x, y) if _is_value(x) and _is_value(y) else None


def _is_value(x: Any) -> bool:
    """Whether it is a number, and no function that nobody has defined."""
    return bool(x.is_infinite) or all(part.is_Number for part in x.as_real_imag())


def _close(x: Any, y: Any) -> bool:
    if x.is_infinite or y.is_infinite or x is sympy.nan or y is sympy.nan:
        return bool(x == y and x is not sympy.nan)
    return bool(abs(x - y) <= TOLERANCE * max(abs(x), abs(y)))


def _rounded(one: Any, other: Any, a: Any, b: Any) -> bool:
    """Whether one is a decimal fraction, the other has none, and both have the same first digits."""
    decimals = [value.has(sympy.Float) for value in (one, other)]
    if decimals[0] == decimals[1] or not (a.is_real and b.is_real):
        return False
    decimal, number = (a, b) if decimals[0] else (b, a)
    if not decimal.is_Rational or decimal.is_Integer or number.is_Integer:
        return False
    return str(sympy.N(a, SIGNIFICANT)) == str(sympy.N(b, SIGNIFICANT))


def at_point(value: Any, start: Any) -> Any:
    """Its value where each variable has its own number, which depends on its name alone."""
    places = {
        symbol: start + sympy.Rational(zlib.crc32(str(symbol).encode()) % 997, 1009)
        for symbol in value.free_symbols
    }
    return sympy.N(value.xreplace(places), DIGITS)


def _agree(a: Any, b: Any, alike: Callable[[Any, Any], bool]) -> bool | None:
    """Whether they are alike wherever both have a value; None where too few points say so."""
    seen = 0
    complex_ = a.has(sympy.I) or b.has(sympy.I)
    for start in POINTS:
        try:
            x, y = at_point(a, start), at_point(b, start)
        except Exception:  # sympy cannot evaluate it there
            continue
        if not (_is_value(x) and _is_value(y)):
            continue
        if not complex_ and not (x.is_real and y.is_real):
            continue
        if not alike(x, y):
            return False
        seen += 1
    return True if seen >= ENOUGH else None


def _equations(one: Any, other: Any) -> bool | None:
    """Whether the difference of the sides is the same but for a constant factor."""
    try:
        a, b = (exact(eq.lhs - eq.rhs) for eq in (one, other))
    except TypeError:  # sides that have no difference, such as sets
        return None
    ratios: list[Any] = []

    def alike(x: Any, y: Any) -> bool:
        if x == 0 or y == 0:
            return bool(x == y)
        ratios.append(x / y)
        return _close(ratios[0], ratios[-1])

    return _agree(a, b, alike) or None if a.free_symbols == b.free_symbols else None


# Collections


def _members(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return len(one) == len(other) and all(map(same, one, other))


def _tuples(one: Any, other: Any) -> bool:
    return _members(one.args, other.args)


def _matrices(one: Any, other: Any) -> bool | None:
    a, b = (matrix.doit() for matrix in (one, other))
    if not isinstance(a, sympy.MatrixBase) or not isinstance(b, sympy.MatrixBase):
        return None
    return a.shape == b.shape and _members(a.flat(), b.flat())


def _intervals(one: sympy.Interval, other: sympy.Interval) -> bool:
    ends_open = [(i.left_open, i.right_open) for i in (one, other)]
    return ends_open[0] == ends_open[1] and _members((one.start, one.end), (other.start, other.end))


def _unordered(one: Any, other: Any) -> bool | None:
    """Whether each member of one has its own among the other's."""
    if len(one.args) != len(other.args) or len(one.args) > MOST_MEMBERS:
        return False if isinstance(one, sympy.FiniteSet) else None
    left = list(other.args)
    for member in one.args:
        twin = next((index for index, other in enumerate(left) if same(member, other)), None)
        if twin is None:
            return False if isinstance(one, sympy.FiniteSet) else None
        left.pop(twin)
    return True


def _as_sets(expected: Any, said: Any) -> bool | None:
    """Whether they are the same set of numbers, where a relation stands for its solutions."""
    try:
        a, b = solutions(expected), solutions(said)
        if a is None or b is None:
            return None
        return True if a == b else (a ^ b).is_empty
    except Exception:  # no set of one variable that sympy can find
        return None


def solutions(value: Any) -> Any:
    """The set that a relation of one variable describes, or a set; None of anything else."""
    relations = (Relational, sympy.And, sympy.Or)
    if isinstance(value, relations) and not isinstance(value, sympy.Eq):
        return exact(value).as_set() if len(value.free_symbols) == 1 else None
    members = value.args if isinstance(value, sympy.FiniteSet) else ()
    if members and all(isinstance(one, sympy.Set) for one in members):
        value = sympy.Union(*members)
    infinite = isinstance(value, sympy.Set) and not isinstance(value, sympy.FiniteSet)
    return exact(value) if infinite else None


def _verified(expected: Any, said: Any) -> bool:
    a, b = (exact(one) if isinstance(one, sympy.Basic) else one for one in (expected, said))
    return verify(a, b, allow_set_relation_comp=True, timeout_seconds=NO_LIMIT)


COMPARED: list[tuple[Any, Callable[[Any, Any], bool | None]]] = [
    (sympy.Eq, _equations),
    (sympy.MatrixBase | sympy.MatrixExpr, _matrices),
    (sympy.Expr, _expressions),
    (sympy.Tuple, _tuples),
    (sympy.Interval, _intervals),
    (sympy.FiniteSet, _unordered),
    (sympy.Union, _unordered),
]

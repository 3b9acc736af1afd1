"""Whether plain values, as JSON and YAML give them, have the shape that a type describes."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

# No count, size or time of a run is larger.
MOST = 1e18


def fits(value: Any, kind: Any) -> bool:
    """Whether `value` could be a `kind`: a dataclass, a TypedDict, or a type of plain values.

    A mapping stands for a dataclass or a TypedDict, and may lack what has a default or is not required. Other
    keys in it are let pass. A whole number fits `float`, and no truth value is a number.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if kind in (None, NoneType):
        return value is None
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if is_typeddict(kind):
        return _has_keys(value, get_type_hints(kind), kind.__required_keys__)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        wanted = {one.name for one in fields(kind) if _is_required(one)}
        return _has_keys(value, hints, wanted)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(
            fits(key, inner[0]) and fits(entry, inner[1]) for key, entry in value.items()
        )
    if origin is tuple and inner[-1] is not Ellipsis:
        whole = isinstance(value, list) and len(value) == len(inner)
        return whole and all(map(fits, value, inner))
    if origin in (list, tuple) or kind in (list, tuple):
        return isinstance(value, list) and all(fits(one, inner[0]) for one in value if inner)
    return _is_plain(value, kind)


def _has_keys(value: Any, hints: Mapping[str, Any], required: Iterable[str]) -> bool:
    return (
        isinstance(value, dict)
        and set(required) <= value.keys()
        and all(fits(value[name], kind) for name, kind in hints.items() if name in value)
    )


def _is_required(one: Field) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _is_plain(value: Any, kind: Any) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind in (int, float):
        number = isinstance(value, int if kind is int else int | float)
        return number and abs(value) <= MOST  # which no NaN is
    return isinstance(value, kind)

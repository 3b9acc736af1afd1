"""Plain values fit a type or they do not, whatever they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import pytest

from raysweep.system.shapes import fits


@dataclass
class Inner:
    name: str
    size: int = 3


class Outer(TypedDict, total=False):
    inner: Inner | None
    kinds: list[Literal["a", "b"]]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (1, int, True),
        (True, int, False),
        (1.5, int, False),
        (1, float, True),
        (False, float, False),
        (float("nan"), float, False),
        (float("inf"), float, False),
        (10**400, int, False),
        (True, bool, True),
        (1, bool, False),
        ("a", str, True),
        (None, str, False),
        (None, str | None, True),
        ([], Any, True),
        ([1, 2], list[int], True),
        ([1, None], list[int], False),
        ({"a": 1}, list[int], False),
        (["a", 1], tuple[str, int], True),
        (["a"], tuple[str, int], False),
        ([1, 2, 3], tuple[int, ...], True),
        ({"a": 1}, Mapping[str, int], True),
        ({1: 1}, dict[str, int], False),
        ({"name": "a"}, Inner, True),
        ({"name": "a", "size": "b"}, Inner, False),
        ({"size": 1}, Inner, False),
        ({"name": "a", "more": None}, Inner, True),
        ({}, Outer, True),
        ({"inner": None, "kinds": ["a"]}, Outer, True),
        ({"inner": {}, "kinds": ["a"]}, Outer, False),
        ({"kinds": ["c"]}, Outer, False),
        (1, Literal[True], False),
        ([], Outer, False),
    ],
)
def test_a_value_fits_what_it_could_be(value: Any, kind: Any, expected: bool):
    assert fits(value, kind) is expected

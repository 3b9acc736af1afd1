"""The tests of a programming question. Its gold answer holds them as a JSON object in one of two forms.

    {"function": null, "tests": [{"input": "1", "output": "2"}, ...], "limit_s": 6}
    {"function": "solve", "packed": [a published column, another]}

`function` names the function to call and is null if the tests run a whole program. `limit_s`, the limit in
CPU seconds per test, and `float_tolerance` are optional. The packed form keeps columns of LiveCodeBench as
published, because tests of one question can take many megabytes. Such a column is JSON, or base64 of zlib of
a pickled JSON text. A pickle is a program, so it is never run. Its opcodes are read one by one, and anything
but a single text is refused.
"""

import base64
import json
import math
import pickletools
import zlib
from dataclasses import dataclass
from typing import Any

from raysweep.system.json_text import parsed_json

# The largest size of one column of tests after unpacking.
MOST_BYTES = 2**30
TEXT_OPCODES = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
IDLE_OPCODES = {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "STOP"}


@dataclass(frozen=True)
class CodeTest:
    """Input and expected output: a program's standard streams, or arguments and result as JSON."""

    input: str
    output: str


@dataclass(frozen=True)
class CodeTests:
    """What a question asks of a program.

    function         the function to call; None runs a whole program
    limit_s          the limit in CPU seconds per test; None: the grader's
    float_tolerance  how far numbers that are not whole may be off (`grading.code_results`); None: exact
    """

    function: str | None
    tests: tuple[CodeTest, ...]
    limit_s: float | None = None
    float_tolerance: float | None = None


def pack_tests(function: str | None, *columns: str) -> str:
    """A gold answer in the packed form."""
    return json.dumps({"function": function, "packed": columns})


def read_tests(gold: str) -> CodeTests:
    """The tests in a gold answer of either form. Raises ValueError if it holds no tests."""
    said = _object(gold)
    columns = _array(said.get("packed", []))
    parts = [said.get("tests", []), *(parsed_json(unpacked(column)) for column in columns)]
    tests = tuple(_test(listed) for part in parts for listed in _array(part))
    if not tests:
        raise ValueError("it has no tests")
    tolerance = _tolerance(said.get("float_tolerance"))
    return CodeTests(said.get("function"), tests, said.get("limit_s"), tolerance)


def read_function(gold: str) -> str | None:
    """The function that the tests of a gold answer call. The tests themselves are not read."""
    return _object(gold).get("function")


def with_tolerance(gold: str, float_tolerance: float) -> str:
    """The same tests with that tolerance."""
    return json.dumps(_object(gold) | {"float_tolerance": float_tolerance})


def unpacked(published: str) -> str:
    """The JSON text of a published column, which may be packed."""
    if published.lstrip().startswith("["):
        return published
    stream = zlib.decompressobj()
    try:
        pickled = stream.decompress(base64.b64decode(published, validate=True), MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"it is neither JSON nor packed ({error})") from error
    if not stream.eof:
        raise ValueError(f"it is truncated, or larger than {MOST_BYTES} bytes")
    return pickled_text(pickled)


def pickled_text(pickled: bytes) -> str:
    """The text in a pickle that holds only this text. Nothing is executed."""
    texts: list[Any] = []
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in TEXT_OPCODES:
            texts.append(argument)
        elif opcode.name not in IDLE_OPCODES:
            raise ValueError(f"it is a pickle with {opcode.name}, not of a text alone")
    if len(texts) != 1:
        raise ValueError(f"it is a pickle of {len(texts)} texts, not of one")
    return texts[0]


def _object(gold: str) -> dict[str, Any]:
    said = parsed_json(gold)
    if not isinstance(said, dict) or not {"tests", "packed"} & said.keys():
        raise ValueError("it is not a JSON object with tests")
    return said


def _tolerance(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"its float_tolerance {value!r} is not a number")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"its float_tolerance {value!r} is not 0 or more")
    return float(value)


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("it is not a JSON array")
    return value


def _test(listed: Any) -> CodeTest:
    said = listed if isinstance(listed, dict) else {}
    given, expected = said.get("input"), said.get("output")
    if not isinstance(given, str) or not isinstance(expected, str):
        raise ValueError("it has a test without the texts input and output")
    return CodeTest(given, expected)

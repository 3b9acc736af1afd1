"""The tests of a programming question, as its gold answer carries them.

LiveCodeBench publishes its hidden tests as base64 of zlib of a pickled JSON text. A pickle is a program,
so it is never run here: its opcodes are read one by one, and anything but one text is refused. The gold
answer keeps that compact form, which `read_tests` turns into tests where an answer is graded.
"""

import base64
import json
import pickletools
import zlib
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 2**30  # of one question's tests, unpacked
TEXT_OPCODES = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
IDLE_OPCODES = {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "STOP"}


@dataclass(frozen=True)
class CodeTest:
    """Input and expected output: of a program's standard streams, or arguments and result as JSON."""

    input: str
    output: str


@dataclass(frozen=True)
class CodeTests:
    """`function` is the method of `Solution` to call; None: the program reads and prints."""

    function: str | None
    tests: tuple[CodeTest, ...]


def pack_tests(public: str, hidden: str, function: str | None) -> str:
    """A gold answer of published texts: a JSON array, and one that may be packed."""
    return json.dumps({"function": function, "public": public, "hidden": hidden})


def read_tests(gold: str) -> CodeTests:
    """What `pack_tests` put together. Raises ValueError for anything that is not tests."""
    packed = json.loads(gold)
    listed = _array(unpacked(packed["public"])) + _array(unpacked(packed["hidden"]))
    if not listed:
        raise ValueError("no tests")
    return CodeTests(packed["function"], tuple(map(_test, listed)))


def unpacked(published: str) -> str:
    """The JSON text in a published column, which is that text itself or packed."""
    if published.lstrip().startswith("["):
        return published
    stream = zlib.decompressobj()
    try:
        pickled = stream.decompress(base64.b64decode(published, validate=True), MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"neither JSON nor packed ({error})") from error
    if not stream.eof:
        raise ValueError(f"cut off, or more than {MOST_BYTES} bytes")
    return pickled_text(pickled)


def pickled_text(pickled: bytes) -> str:
    """The one text in a pickle that has nothing else in it; nothing is executed."""
    texts: list[Any] = []
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in TEXT_OPCODES:
            texts.append(argument)
        elif opcode.name not in IDLE_OPCODES:
            raise ValueError(f"a pickle with {opcode.name} in it, not of a text alone")
    if len(texts) != 1:
        raise ValueError(f"a pickle of {len(texts)} texts, not of one")
    return texts[0]


def _array(text: str) -> list[Any]:
    content = json.loads(text)
    if not isinstance(content, list):
        raise ValueError("not a JSON array")
    return content


def _test(listed: Any) -> CodeTest:
    values = [listed.get(key) for key in ("input", "output")] if isinstance(listed, dict) else []
    if not values or not all(isinstance(value, str) for value in values):
        raise ValueError("a test that has not the texts input and output")
    return CodeTest(*values)

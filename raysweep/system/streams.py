"""Standard output and error that can take any text, whatever encodes them, or where they are closed.

A table's lines and marks such as – and × are not in every encoding. What a stream cannot encode is written
in ASCII, or as the escape that `safe_text` would use, so that no print ends a run.
"""

import codecs
import io
import os
import sys
from typing import TextIO

IN_ASCII = {
    "\u00a0": " ",
    **dict.fromkeys("–—−\u2011", "-"),
    "×": "x",
    "·": "*",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "→": "->",
    **dict.fromkeys("─━═", "-"),
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("\u2018\u2019", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
}
HANDLER = "raysweep.in_ascii"


def accept_any_text() -> None:
    """Make standard output and error take every text; where one is closed, it goes nowhere."""
    for descriptor in range(3):
        _occupy(descriptor)
    codecs.register_error(HANDLER, in_ascii)
    sys.stdout = _tolerant(sys.stdout)
    sys.stderr = _tolerant(sys.stderr)


def _occupy(descriptor: int) -> None:
    """Open /dev/null where a standard stream is closed: the next file would become that stream."""
    try:
        os.fstat(descriptor)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere == descriptor:
            os.set_inheritable(descriptor, True)
        else:
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


def _tolerant(stream: TextIO | None) -> TextIO:
    if stream is None:  # Python's word for a closed one
        return open(os.devnull, "w", encoding="utf-8", errors=HANDLER)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=HANDLER)
    return stream


def in_ascii(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that cannot be encoded, as a handler of codec errors gives it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    return "".join(map(_spelled, unknown)), error.end


def _spelled(character: str) -> str:
    return IN_ASCII.get(character) or character.encode("unicode_escape").decode()

r"""LaTeX boxes: `\boxed{...}` is how reasoning models, and our own openers, mark an answer.

A box is whole if its braces are balanced; the last whole one counts. A box that the text does not close
was cut if the text ran into its limit, and otherwise closed by the text's end.
"""

import re
from collections.abc import Iterator

BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


def last_box(text: str) -> str | None:
    """What the last whole box with something in it holds; None if there is none."""
    return next(whole_boxes(text), None)


def whole_boxes(text: str) -> Iterator[str]:
    """What each whole box with something in it holds, the last first."""
    for opening in reversed(list(BOX.finditer(text))):
        inside = balanced(text[opening.end() :])
        if inside is not None and inside.strip():
            yield inside.strip()


def open_box(text: str) -> str | None:
    """What follows the last box's opening, if no brace closes it."""
    *_, opening = [None, *BOX.finditer(text)]
    if opening is None or balanced(text[opening.end() :]) is not None:
        return None
    return text[opening.end() :].strip()


def balanced(text: str) -> str | None:
    """The text before the brace that closes an open one; None if there is no such brace."""
    depth, escaped = 1, False
    for position, character in enumerate(text):
        if escaped or character == "\\":
            escaped = not escaped
        elif character in "{}":
            depth += 1 if character == "{" else -1
            if depth == 0:
                return text[:position]
    return None

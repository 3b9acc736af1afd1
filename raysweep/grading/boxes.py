r"""LaTeX boxes: `\boxed{...}` is how reasoning models, and our own openers, mark an answer.

A box is whole if its braces are balanced; the last whole one counts. A box that the text does not close
was cut if the text ran into its limit, and otherwise closed by the text's end. One pass finds all boxes,
so that a text of nothing but openings is read in linear time.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

TOKEN = re.compile(r"(\\+(?:boxed|fbox)\s*\{)|\\.|([{}])", re.DOTALL)


def has_box(text: str) -> bool:
    """Whether a text may hold a box at all: a quick look before all braces are matched."""
    return "boxed" in text or "fbox" in text


def last_box(text: str) -> str | None:
    """What the last whole box with something in it holds; None if there is none."""
    return next(whole_boxes(text), None)


def whole_boxes(text: str) -> Iterator[str]:
    """What each whole box with something in it holds, the last first."""
    boxes = _boxes(text) if has_box(text) else ()
    for start, end in reversed(boxes):
        if end is not None and (inside := text[start:end].strip()):
            yield inside


def open_box(text: str) -> str | None:
    """What follows the last box's opening, if no brace closes it."""
    boxes = _boxes(text)
    if not boxes or boxes[-1][1] is not None:
        return None
    return text[boxes[-1][0] :].strip()


@lru_cache(maxsize=256)
def _boxes(text: str) -> tuple[tuple[int, int | None], ...]:
    """Where each box's inside starts and ends, in the order of their openings."""
    boxes: list[tuple[int, int | None]] = []
    opened: list[int] = []  # for each open brace the number of its box, or -1 for another brace
    for found in TOKEN.finditer(text):
        if found.lastindex == 1:
            opened.append(len(boxes))
            boxes.append((found.end(), None))
        elif found[0] == "{":
            opened.append(-1)
        elif found[0] == "}" and opened and (number := opened.pop()) >= 0:
            boxes[number] = boxes[number][0], found.start()
    return tuple(boxes)

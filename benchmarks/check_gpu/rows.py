"""What a check says: rows of a table, and the cases that give them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One finding.

    figure    what was measured, in words
    expected  what it was to be; "" if nothing was expected
    ok        whether it was as expected; None if nothing was, or if it was not run
    numbers   the figure's numbers by name, for the JSON file
    """

    subject: str
    figure: str
    expected: str = ""
    ok: bool | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    part: str = ""


@dataclass(frozen=True)
class Case:
    """Something to check; `run` returns its rows, or raises."""

    subject: str
    run: Callable[[], Iterable[Row]]


def not_run(subject: str, reason: str) -> Row:
    return Row(subject, f"not run: {reason}")


def failed(subject: str, error: BaseException) -> Row:
    """A row with the first line of the error."""
    first = next(iter(str(error).splitlines()), "")
    return Row(subject, f"failed: {type(error).__name__}: {first}", ok=False)

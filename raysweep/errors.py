"""Bad input, said in one line: which field, which value, and the way out.

A ConfigError is shown without a traceback and ends the program with status 2; StorageError and ClusterLost
likewise, with status 3, for the same command goes on once the storage or the cluster does. Whatever else is
raised is a fault of raysweep and keeps its traceback. Messages quote what others wrote: they are made fit to
be shown here.
"""

import difflib
from collections.abc import Iterable
from typing import Any

from raysweep.system.safe_text import printable, without_secrets

SHOWN_CHARACTERS = 80
SHOWN_NAMES = 40


class ConfigError(ValueError):
    """Input that cannot be run; its message is always one line."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


class StorageError(RuntimeError):
    """Storage that went on failing for as long as anybody waited; its message is one line."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


class ClusterLost(RuntimeError):  # noqa: N818 - it is no fault
    """The Ray cluster answers no more; its message is one line."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


def unknown(where: str, value: Any, kind: str, known: Iterable[str]) -> ConfigError:
    """The error for a name at `where` that is none of `known`, with the nearest one as a guess."""
    names = sorted(known)
    near = difflib.get_close_matches(str(value), names, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    place = f"{where}: " if where else ""
    more = [f"and {len(names) - SHOWN_NAMES} more"] if len(names) > SHOWN_NAMES else []
    choices = ", ".join([*names[:SHOWN_NAMES], *more]) or "none"
    return ConfigError(f"{place}{shown(value)} is not a known {kind}; {guess}known: {choices}")


def one_line(message: str) -> str:
    """A message on one line, without secrets, and without characters that a terminal would obey."""
    return printable(without_secrets(" ".join(message.split())))


def shown(value: Any) -> str:
    """`value` as it is quoted in a message: on one line, and abbreviated."""
    text = without_secrets(repr(value))  # before it is cut, which may hide what shows a secret
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."

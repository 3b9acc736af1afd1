"""Errors that a user can mend, told in one line: the field, its value, and the way out.

A ConfigError is shown without a traceback and ends the program with status 2. StorageError and ClusterLost
end it with status 3, because the same command continues once storage or cluster work again. Any other
exception is a bug in raysweep and keeps its traceback. Messages quote text that others wrote, so they are
made safe to print here.
"""

import difflib
from collections.abc import Iterable
from typing import Any

from raysweep.system.safe_text import printable, without_secrets

SHOWN_CHARACTERS = 80
SHOWN_NAMES = 40

# How a message calls what a folder of conf/ defines. Other kinds keep their own name.
KINDS = {
    "calibration": "calibration text",
    "forcing": "way of forcing",
    "gpu": "kind of GPU",
    "kv_policy": "KV policy",
    "weights": "weight precision",
}


class ConfigError(ValueError):
    """Input that cannot be run. Each of the messages is one line; there is one, unless nodes have several."""

    def __init__(self, *messages: str):
        super().__init__("\n".join(map(one_line, messages)))


class StorageError(RuntimeError):
    """Storage that kept failing until retries ended. The message is one line."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


class StorageRefused(StorageError):  # noqa: N818 - it is not a bug
    """Storage that does not let this user read or write, however often it is asked."""


class ClusterLost(RuntimeError):  # noqa: N818 - it is not a bug
    """The Ray cluster no longer answers. The message is one line."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


def unknown(where: str, value: Any, kind: str, known: Iterable[str]) -> ConfigError:
    """The error for a name at `where` that is not in `known`; it suggests the nearest known name."""
    names = sorted(known)
    near = difflib.get_close_matches(str(value), names, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    place = f"{where}: " if where else ""
    more = [f"and {len(names) - SHOWN_NAMES} more"] if len(names) > SHOWN_NAMES else []
    choices = ", ".join([*names[:SHOWN_NAMES], *more]) or "none"
    named = KINDS.get(kind, kind)
    return ConfigError(f"{place}{shown(value)} is not a known {named}; {guess}known: {choices}")


def one_line(message: str) -> str:
    """The message on one line, without secrets and without terminal control characters."""
    return printable(without_secrets(" ".join(message.split())))


def shown(value: Any) -> str:
    """`value` as a message quotes it: on one line and abbreviated."""
    # Mask before cutting: the cut could remove what marks a text as secret.
    text = without_secrets(repr(value))
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."

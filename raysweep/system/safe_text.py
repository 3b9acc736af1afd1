"""Text of others on its way to a person: control characters made visible, secrets masked.

A model's name, a path, an answer or an error may hold anything. On a terminal an escape sequence rewrites
what stands there already, and a right-to-left mark turns it round, so both are printed as what they are
(`\\x1b`). What looks like a secret, by its key or inside an address, is masked wherever it would be seen.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

MASK = "***"
UNSEEN = {
    "Cc",
    "Cf",
    "Cs",
    "Zl",
    "Zp",
}  # Unicode's control, format, surrogate and separator characters
SECRET_KEY = re.compile(
    r"secret|password|credential|access_?key|api_?key|(^|[-_])(token|key|passwd|sig|signature)$",
    re.IGNORECASE,
)
# `user:password@`, also where the password has a slash in it that it should not have.
USER_IN_ADDRESS = re.compile(r"(?<=://)(?:[^/?#\s'\"]+|[^/\s'\"]*:[^\s'\"]*)(?=@)")
QUERY_VALUE = re.compile(r"(?<=[?&])([^=&\s?]+)=([^&\s'\"]+)")


def printable(text: str, lines: bool = False) -> str:
    """`text` with what a terminal would obey, or not show, written as its escape.

    lines  line ends and tabs stay
    """
    if text.isprintable():
        return text
    return "".join(c if _is_shown(c) or (lines and c in "\n\t") else _escape(c) for c in text)


def is_whole(text: str) -> bool:
    """Whether a text has no half of a character in it, as JSON can say one, and no file can hold one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_shown(character: str) -> bool:
    return unicodedata.category(character) not in UNSEEN


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def without_secrets(value: Any) -> Any:
    """`value`, a text or plain values, with what looks like a secret masked."""
    if isinstance(value, Mapping):
        return {
            key: MASK
            if entry is not None and SECRET_KEY.search(str(key))
            else without_secrets(entry)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(entry) for entry in value]
    return _masked(value) if isinstance(value, str) else value


def _masked(text: str) -> str:
    return QUERY_VALUE.sub(_masked_parameter, USER_IN_ADDRESS.sub(MASK, text))


def _masked_parameter(found: re.Match[str]) -> str:
    return f"{found[1]}={MASK}" if SECRET_KEY.search(found[1]) else found[0]

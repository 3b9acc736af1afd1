"""Makes text from outside safe to show: control characters become visible, and secrets are masked.

A model's name, a path, an answer or an error may contain anything. On a terminal, an escape sequence can
rewrite earlier text and a right-to-left mark can reverse it, so both are printed as escapes (`\\x1b`).
Anything that looks like a secret, by its key or inside an address, is masked wherever it would be shown.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

MASK = "***"
# Unicode's categories of control, format, surrogate and separator characters.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
SECRET_KEY = re.compile(
    r"secret|password|credential|access_?key|api_?key|(^|[-_])(token|key|passwd|sig|signature)$",
    re.IGNORECASE,
)
# `user:password@`, even if the password contains a slash, which is not allowed.
USER_IN_ADDRESS = re.compile(r"(?<=://)(?:[^/?#\s'\"]+|[^/\s'\"]*:[^\s'\"]*)(?=@)")
QUERY_VALUE = re.compile(r"(?<=[?&])([^=&\s?]+)=([^&\s'\"]+)")


def printable(text: str, lines: bool = False) -> str:
    """`text` with escapes in place of characters that a terminal would obey or not show.

    lines  whether line ends and tabs stay
    """
    if text.isprintable():
        return text
    return "".join(c if _is_shown(c) or (lines and c in "\n\t") else _escape(c) for c in text)


def is_whole(text: str) -> bool:
    """Whether a text has no unpaired surrogate. JSON can contain one, but UTF-8 files cannot."""
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
    """`value` (a text or plain values) with everything masked that looks like a secret."""
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

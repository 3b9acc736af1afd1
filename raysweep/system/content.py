"""Names by content: the hash of everything that determines a piece of work.

Equal content has the same name in every process and version, so finished work is found again. A field of a
dataclass can be marked as incidental, or as added after version 0.1.0.
"""

import hashlib
import json
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

# Marks a field that does not change what is computed, such as a path. Hashes leave it out.
INCIDENTAL = {"incidental": True}
# Marks a field that earlier versions lack. Hashes leave it out while it has its default, so that samples of
# earlier versions keep their names.
ADDED = {"added": True}


def content_hash(*parts: Any) -> str:
    """Hash (16 hex digits) of the content of `parts`: dataclasses, tuples, dicts and plain values."""
    return hash_of_texts(*map(canonical, parts))


def canonical(part: Any) -> str:
    """The content of a part as text. Equal content has equal text."""
    return json.dumps(part, sort_keys=True, separators=(",", ":"), default=_plain)


def hash_of_texts(*texts: str) -> str:
    """`content_hash` of parts whose content is given as text (`canonical`)."""
    return hashlib.blake2b(f"[{','.join(texts)}]".encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {"": type(value).__name__, **decisive_fields(value)}
    raise TypeError(f"cannot name a {type(value).__name__} by its content")


def decisive_fields(noun: Any) -> dict[str, Any]:
    """The fields of a dataclass on which its name rests."""
    named = {f.name: getattr(noun, f.name) for f in fields(noun) if f.metadata != INCIDENTAL}
    usual = {f.name: _default(f) for f in fields(noun) if f.metadata == ADDED}
    return {name: v for name, v in named.items() if name not in usual or v != usual[name]}


def _default(added: Field) -> Any:
    return added.default if added.default_factory is MISSING else added.default_factory()

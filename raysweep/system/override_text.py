"""Values as they are written on the command line: `{method: r_kv, budget: 4096}`."""

import json
import re
from collections.abc import Mapping
from typing import Any

# A text that Hydra reads as it is. Any other one is quoted.
BARE = re.compile(r"[A-Za-z_./-][A-Za-z0-9_./-]*")


def override_text(value: Any) -> str:
    """A number, text, truth value, null, or a mapping of these."""
    if isinstance(value, Mapping):
        entries = (f"{key}: {override_text(entry)}" for key, entry in value.items())
        return "{" + ", ".join(entries) + "}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not BARE.fullmatch(value):
        return json.dumps(value, ensure_ascii=False)
    return str(value)

"""JSON that others wrote, which may be nested deeper than Python's parser can follow."""

import json
from typing import Any


def parsed_json(text: str | bytes | bytearray, **options: Any) -> Any:
    """The value of a JSON text. Raises ValueError if it is none. `options` are those of `json.loads`."""
    try:
        return json.loads(text, **options)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error

"""Data as the pages' scripts unpack them, in any file that a script element can load."""

import base64
import gzip
import json
from typing import Any


def packed(data: Any) -> str:
    """Data as the page's scripts unpack it: JSON, gzip, base64. Equal data give equal text."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()

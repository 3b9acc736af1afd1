"""The columns of the data contract, with the comments beside them in raysweep/storage/*schemas.py."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from docs.markdown_table import markdown
from raysweep.storage import comparison_schemas, schemas

SCHEMA = re.compile(r"^([A-Z]+) = pa\.")
COLUMN = re.compile(r'^\s*"(\w+)": [^#]*(?:#\s?(.*))?$')
COMMENT = re.compile(r"^\s+#\s?(.*)$")


def schema_table(name: str) -> str:
    """The columns of a schema of raysweep/storage/*schemas.py."""
    schema: Any = getattr(schemas, name, None) or getattr(comparison_schemas, name)
    described = column_comments()[name] if name != "FRONTIERS" else {}
    rows = [
        (f"`{field.name}`", arrow_type(field.type), described.get(field.name, ""))
        for field in schema
    ]
    return markdown(("column", "type", "what it is"), rows)


def column_comments() -> Mapping[str, Mapping[str, str]]:
    """The comments beside the columns in raysweep/storage/*schemas.py, by schema and column."""
    found: dict[str, dict[str, str]] = {}
    schema = column = ""
    sources = inspect.getsource(schemas) + inspect.getsource(comparison_schemas)
    for line in sources.splitlines():
        if opening := SCHEMA.match(line):
            schema, column = opening[1], ""
            found[schema] = {}
        if match := COLUMN.match(line.partition("schema({")[2] or line):
            column = match[1]
            found[schema][column] = match[2] or ""
        elif column and (more := COMMENT.match(line)):
            found[schema][column] = f"{found[schema][column]} {more[1]}".strip()
    return found


def arrow_type(kind: pa.DataType) -> str:
    if not pa.types.is_list(kind):
        return str(kind)
    inner = kind.value_type
    return "list of [answers](#an-answer)" if pa.types.is_struct(inner) else f"list of {inner}"

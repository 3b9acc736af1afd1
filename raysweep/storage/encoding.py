"""How tables become the bytes of a Parquet file.

The tokens of traces take most of a run's space. Text repeats itself over many tokens. zstd finds that in
plain numbers, but not in the packed places of a dictionary: see `benchmarks/token_encoding.py`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.storage.seal import seal

TOKENS = "token_ids.list.element"
# A higher level takes ten times as long for a tenth less.
TOKEN_LEVEL = 9
# Readers look for samples by these columns. Statistics of others only lengthen the footer.
SOUGHT = ("engine_id", "benchmark", "question_id", "sample_index")


def parquet_bytes(tables: Iterable[pa.Table], metadata: Mapping[bytes, bytes]) -> bytes:
    """A sealed Parquet file of some tables of one schema, each in a row group of its own."""
    sink, writer = pa.BufferOutputStream(), None
    for table in tables:
        if writer is None:
            schema = table.schema.with_metadata(dict(metadata))
            writer = pq.ParquetWriter(sink, schema, **options(schema))
        writer.write_table(
            table.replace_schema_metadata(dict(metadata)), row_group_size=max(1, table.num_rows)
        )
    if writer is None:
        raise ValueError("a Parquet file needs a table")
    writer.close()
    return seal(memoryview(sink.getvalue()))


def options(schema: pa.Schema) -> dict[str, Any]:
    """The options of pyarrow for a table of that schema."""
    general = {"compression": "zstd", "write_page_checksum": True}
    if "token_ids" not in schema.names:
        return general
    columns = [path for field in schema for path in _leaves(field.name, field.type)]
    return {
        **general,
        "use_dictionary": [path for path in columns if path != TOKENS],
        "compression_level": {TOKENS: TOKEN_LEVEL},
        "write_statistics": [path for path in columns if path in SOUGHT],
    }


def _leaves(path: str, kind: pa.DataType) -> Iterator[str]:
    """The paths of the columns in which Parquet stores a field."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    else:
        yield path

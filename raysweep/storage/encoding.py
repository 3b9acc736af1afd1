"""How tables become the bytes of a Parquet file."""

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.storage.seal import seal


def parquet_bytes(tables: Iterable[pa.Table], metadata: Mapping[bytes, bytes]) -> bytes:
    """A sealed Parquet file of some tables of one schema, each in a row group of its own."""
    sink, writer = pa.BufferOutputStream(), None
    for table in tables:
        if writer is None:
            schema = table.schema.with_metadata(dict(metadata))
            writer = pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True)
        writer.write_table(
            table.replace_schema_metadata(dict(metadata)), row_group_size=max(1, table.num_rows)
        )
    if writer is None:
        raise ValueError("a Parquet file needs a table")
    writer.close()
    return seal(memoryview(sink.getvalue()))

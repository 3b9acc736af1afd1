"""How samples are encoded: tokens plain and well compressed, everything else with dictionaries."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from support.parts import rows

from raysweep.storage.encoding import SOUGHT, TOKENS, options, parquet_bytes
from raysweep.storage.schemas import ANSWER, SAMPLES


def footer(data: bytes) -> pq.FileMetaData:
    return pq.read_metadata(pa.BufferReader(data))


def test_every_column_but_the_tokens_has_a_dictionary_and_the_sought_ones_statistics():
    group = footer(parquet_bytes([rows(1, 2)], {})).row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    paths = {column.path_in_schema for column in columns}
    assert paths >= {TOKENS, *SOUGHT, *(f"answers.list.element.{field.name}" for field in ANSWER)}
    assert set(options(SAMPLES)["use_dictionary"]) == paths - {TOKENS}
    assert {c.path_in_schema for c in columns if c.is_stats_set} == set(SOUGHT)


def test_each_table_has_a_row_group_of_its_own():
    data = parquet_bytes([rows(1, 2), rows(3), rows()], {b"key": b"value"})
    assert [footer(data).row_group(place).num_rows for place in range(3)] == [2, 1, 0]
    read = pq.read_table(pa.BufferReader(data))
    assert read.equals(rows(1, 2, 3))
    assert (read.schema.metadata or {})[b"key"] == b"value"


def test_repeated_text_takes_less_than_packed_places_in_a_dictionary():
    words = np.random.default_rng(0).integers(0, 150_000, (400, 20))
    said = words[np.random.default_rng(1).integers(0, 400, 5_000)].ravel()
    table = rows(1).set_column(
        SAMPLES.get_field_index("token_ids"),
        SAMPLES.field("token_ids"),
        pa.array([said], pa.list_(pa.int32())),
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    assert len(parquet_bytes([table], {})) < 0.8 * sink.tell()

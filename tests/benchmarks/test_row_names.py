"""Columns and keys of one name are refused: a dictionary would keep the last, perhaps the wrong gold."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysweep.benchmarks.rows import read_rows
from raysweep.benchmarks.sources import File
from raysweep.errors import ConfigError


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        list(read_rows([File(path, "golds", "")]))
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "question,answer,answer\nHow many?,1,2\n"),
        ("a.jsonl", '{"question": "How many?", "answer": 1, "answer": 2}\n'),
        ("a.json", '[{"question": "How many?", "answer": 1, "answer": 2}]'),
    ],
)
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str, content: str):
    (tmp_path / name).write_text(content)
    said = refusal(tmp_path / name)
    assert said.startswith("golds, row 1: cannot be read")
    assert "columns 2 and 3 are both named 'answer': rename one" in said


def test_two_parquet_columns_of_one_name_are_refused(tmp_path: Path):
    column = pa.array(["1"])
    pq.write_table(pa.table([column, column], names=["answer", "answer"]), tmp_path / "a.parquet")
    assert "columns 1 and 2 are both named 'answer': rename one" in refusal(tmp_path / "a.parquet")


@pytest.mark.parametrize("header", [",question,answer", " ,question,answer"])
def test_a_column_without_a_name_is_refused(tmp_path: Path, header: str):
    (tmp_path / "a.csv").write_text(f"{header}\n0,How many?,1\n")
    assert "column 1 has no name: name it, or remove the column" in refusal(tmp_path / "a.csv")

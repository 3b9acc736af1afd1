"""What the tokens of a trace take on disk in each Parquet encoding, and how fast they are written and read.

    python -m benchmarks.token_encoding TOKENIZER [--tokens 30000] [--traces 16]

TOKENIZER is a tokenizer.json, or a file of token ids as numpy writes it (.npy). The text is that of sympy's
docstrings, which are mathematics in English with formulas and programs. Traces are pieces of it.
"""

import argparse
import ast
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.storage.encoding import TOKENS, options
from raysweep.storage.schemas import SAMPLES

# The options of pyarrow for each way to write the tokens.
PLAIN = {"compression": "zstd", "use_dictionary": False}
SPLIT = {**PLAIN, "column_encoding": {TOKENS: "BYTE_STREAM_SPLIT"}}
DELTA = {**PLAIN, "column_encoding": {TOKENS: "DELTA_BINARY_PACKED"}}
WAYS: Mapping[str, Mapping[str, Any]] = {
    "dictionary, zstd 1": {"compression": "zstd", "use_dictionary": True},
    "dictionary, zstd 9": {"compression": "zstd", "use_dictionary": True, "compression_level": 9},
    "dictionary, no compression": {"compression": "none", "use_dictionary": True},
    "delta, zstd 1": DELTA,
    **{f"plain, zstd {level}": {**PLAIN, "compression_level": level} for level in (1, 3, 9, 19)},
    **{f"split, zstd {level}": {**SPLIT, "compression_level": level} for level in (1, 3, 6, 9, 19)},
    "as raysweep writes it": options(pa.schema([SAMPLES.field("token_ids")])),
}


def ids_of(tokenizer: Path) -> np.ndarray:
    """Token ids of the docstrings of sympy: [tokens]."""
    if tokenizer.suffix == ".npy":
        return np.load(tokenizer)
    from tokenizers import Tokenizer

    text = "\n\n".join(docstrings())
    known = Tokenizer.from_file(str(tokenizer))
    return np.array(known.encode(text, add_special_tokens=False).ids, np.int32)


def docstrings() -> Iterator[str]:
    import sympy

    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for file in sorted(Path(sympy.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, documented) and (said := ast.get_docstring(node)):
                yield said


def traces_of(ids: np.ndarray, tokens: int, traces: int) -> pa.Table:
    """A part with these traces, and nothing else."""
    most = min(traces, len(ids) // tokens)
    if not most:
        raise SystemExit(f"the text has only {len(ids):,} tokens; ask for shorter traces")
    lists = [ids[place * tokens : (place + 1) * tokens] for place in range(most)]
    return pa.table({"token_ids": pa.array(lists, pa.list_(pa.int32()))})


def measured(table: pa.Table, way: Mapping[str, Any]) -> tuple[float, float, float]:
    """(bytes of a trace, seconds to write a million tokens, seconds to read a million)."""
    sink = pa.BufferOutputStream()
    started = time.perf_counter()
    pq.write_table(table, sink, **way)
    written = time.perf_counter()
    data = sink.getvalue()
    read = pq.read_table(pa.BufferReader(data), use_threads=False)
    ended = time.perf_counter()
    assert read.equals(table)
    million = len(table["token_ids"].combine_chunks().values) / 1e6
    return len(data) / table.num_rows, (written - started) / million, (ended - written) / million


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--tokens", type=int, default=30_000)
    parser.add_argument("--traces", type=int, default=16)
    asked = parser.parse_args()
    ids = ids_of(asked.tokenizer)
    table = traces_of(ids, asked.tokens, asked.traces)
    print(f"{table.num_rows} traces of {asked.tokens:,} tokens, the largest id {ids.max():,}")
    print(
        f"{'encoding':<28}{'bytes/trace':>12}{'bytes/token':>12}{'write s/M':>11}{'read s/M':>10}"
    )
    for name, way in WAYS.items():
        size, write, read = measured(table, way)
        print(f"{name:<28}{size:>12,.0f}{size / asked.tokens:>12.3f}{write:>11.3f}{read:>10.3f}")


if __name__ == "__main__":
    main()

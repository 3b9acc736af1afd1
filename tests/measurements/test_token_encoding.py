"""The measurement of token encodings prints a line for each of them."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import token_encoding


def test_each_encoding_is_measured_on_whole_traces(tmp_path: Path, monkeypatch, capsys):
    words = np.random.default_rng(0).integers(0, 150_000, (300, 5))
    np.save(tmp_path / "ids.npy", words[np.arange(2_000) ** 2 % 300].ravel().astype(np.int32))
    command = ["token_encoding", str(tmp_path / "ids.npy"), "--tokens", "2000", "--traces", "3"]
    monkeypatch.setattr(sys, "argv", command)
    token_encoding.main()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("3 traces of 2,000 tokens")
    rows = [(line[:28].strip(), line[28:].split()) for line in printed[2:]]
    sizes = {name: int(figures[0].replace(",", "")) for name, figures in rows}
    assert sizes.keys() == token_encoding.WAYS.keys()
    assert sizes["as raysweep writes it"] < sizes["dictionary, zstd 1"]


def test_a_text_that_is_shorter_than_a_trace_is_refused(tmp_path: Path):
    with pytest.raises(SystemExit, match="only 10 tokens"):
        token_encoding.traces_of(np.arange(10), tokens=11, traces=1)

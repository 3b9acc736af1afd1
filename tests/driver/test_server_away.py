"""A sweep whose server goes away for too long: it is put off, and the same command finishes it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.faulty_server import FaultyServer, a_server

pytestmark = pytest.mark.slow

GRID = [
    "sweep.models=[tiny-60k]",
    "sweep.weights=[bf16]",
    "sweep.kv_policies=[full]",
    "sweep.benchmarks=[{name: chain, count: 12}]",
    "sweep.token_budgets=[16,48]",
    "sweep.group_sizes=[1,2]",
    "sweep.samples=2",
    "sweep.backend=server",
    "server.patience_minutes=0.02",
    "generation.shard_questions=1",
    "generation.max_rows=2",
    "generation.max_attempts=1",
    "cluster.actors=1",
    "stages=[plan,generate]",
]


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    made = a_server("tiny-60k", pause_s=0.1)
    yield made
    made.close()


def test_a_sweep_whose_server_is_away_ends_with_work_left_and_the_same_command_goes_on(
    server: FaultyServer, tmp_path: Path
):
    command = [sys.executable, "-m", "raysweep", f"out={tmp_path}", "run=R", *GRID]
    command.append(f"server.address={server.address}")
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not (parts := list(tmp_path.rglob("shard-*.parquet"))):
        assert first.poll() is None
        time.sleep(0.02)
    server.stop()
    said = first.communicate(timeout=200)[0]
    assert first.returncode == 3, said
    assert "ServerUnavailable" in said and "repeat the same command to continue" in said
    assert 0 < len(parts) < 12
    server.start()
    again = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert again.returncode == 0, again.stdout
    rows = [
        pq.ParquetFile(part).read().to_pylist() for part in tmp_path.rglob("samples/*/*.parquet")
    ]
    cells = [(row["question_id"], row["sample_index"]) for part in rows for row in part]
    assert len(cells) == len(set(cells)) == 12 * 2

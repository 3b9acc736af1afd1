"""`+sweep=real` as a command, small enough for a test: the same models and benchmarks, fewer of the rest."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from with_real_model.real_model import CHECKPOINTS, ROOT

QUESTIONS, SAMPLES = 3, 2
SMALL = [
    f"sweep.benchmarks=[{{name: arithmetic, count: {QUESTIONS}}}, {{name: general, count: {QUESTIONS}}}]",
    "sweep.token_budgets=[16, 32]",
    "sweep.group_sizes=[1, 2]",
    f"sweep.samples={SAMPLES}",
    "generation.shard_questions=2",
    f"prepare.checkpoints={CHECKPOINTS}",
]
TRACES = 2 * QUESTIONS * SAMPLES  # per engine


def sweep(out: Path, *changes: str) -> str:
    """Run the sweep in `out`, a folder of its own; what it prints."""
    command = [sys.executable, "-m", "raysweep", "+sweep=real", f"out={out}", *SMALL, *changes]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_worker_niceness": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def engines(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out / "real" / "engines.parquet").to_pylist()


def samples(out: Path) -> pd.DataFrame:
    parts = [pq.ParquetFile(part).read().to_pandas() for part in out.rglob("samples/*/*.parquet")]
    names = ["engine_id", "benchmark", "question_id", "sample_index"]
    return pd.concat(parts).sort_values(names, ignore_index=True)


def summary(out: Path) -> dict[str, Any]:
    return json.loads((out / "real" / "summary.json").read_text())

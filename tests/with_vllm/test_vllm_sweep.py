"""The whole command with vLLM in Ray actors: every file of the data contract, resume, repeatability."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from raysweep.storage import schemas

pytestmark = pytest.mark.slow

AVX512 = torch.cuda.is_available() or torch.cpu._is_avx512_supported()
WEIGHTS = ["bf16", "gptq-4-g32"] if AVX512 else ["bf16"]  # on a CPU, GPTQ needs AVX-512
GRID = [
    "sweep.models=[tiny-60k]",
    f"sweep.weights=[{','.join(WEIGHTS)}]",
    "sweep.kv_policies=[full]",
    "sweep.benchmarks=[{name: chain, count: 8}, {name: facts, count: 4}]",
    "sweep.token_budgets=[16,48,96]",
    "sweep.group_sizes=[1,2]",
    "sweep.samples=2",
    "generation.shard_questions=2",
    "cluster.actors=1",
]
SHARDS, SAMPLES = (4 + 2) * len(WEIGHTS), (8 + 4) * 2 * len(WEIGHTS)
TIMINGS_AND_CACHE = ["wall_s", "reused_tokens", "recomputed_tokens"]


def command(out: Path, *changes: str) -> list[str]:
    """`python -m raysweep sweep.backend=vllm`, over a grid small enough for a minute."""
    backend = "sweep.backend=vllm"
    return [sys.executable, "-m", "raysweep", f"out={out}", "run=R", backend, *GRID, *changes]


def raysweep(out: Path, *changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(out, *changes), capture_output=True, text=True, timeout=280)


def samples(out: Path) -> pd.DataFrame:
    """All samples, without times and luck in the cache, in the order of their names."""
    parts = [pq.ParquetFile(p).read().to_pandas() for p in sorted(out.rglob("samples/*/*.parquet"))]
    names = ["engine_id", "benchmark", "question_id", "sample_index"]
    rows = pd.concat(parts).drop(columns=TIMINGS_AND_CACHE)
    rows = rows.sort_values(names, ignore_index=True)
    return rows.map(lambda cell: json.dumps(cell, default=lambda array: array.tolist()))


def summary(out: Path) -> dict:
    return json.loads((out / "R" / "summary.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    done = raysweep(out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_a_run_writes_every_file_of_the_data_contract(finished: Path):
    expected = {
        "engines.parquet": schemas.ENGINES,
        "plan.parquet": schemas.PLAN,
        "scenarios.parquet": schemas.SCENARIOS,
        "frontier.parquet": schemas.FRONTIER,
    }
    for name, schema in expected.items():
        assert pq.read_schema(finished / "R" / name).equals(schema), name
    parts = list(finished.rglob("shard-*.parquet"))
    assert len(parts) == SHARDS
    assert all(pq.read_schema(part).equals(schemas.SAMPLES) for part in parts)
    for name in ("config.yaml", "summary.json", "report/index.html", "figures/chain-frontier.svg"):
        assert (finished / "R" / name).stat().st_size > 0


def test_engines_samples_and_summary_say_what_made_them(finished: Path):
    engines = pq.read_table(finished / "R" / "engines.parquet").to_pylist()
    assert {engine["backend"] for engine in engines} == {"vllm"}
    assert len({engine["engine_id"] for engine in engines}) == len(WEIGHTS)
    counts, rows = summary(finished), samples(finished)
    assert counts["samples"] == len(rows) == SAMPLES
    assert counts["outcomes"]["error"] == 0
    assert counts["samples_that_a_batch_may_change"] == SAMPLES  # vLLM promises no more on a CPU
    assert counts["warnings"] == []
    assert any(name.startswith("vllm") for name in counts["versions"])
    cache = counts["prefix_cache"]
    assert 0 < cache["recomputed_tokens"] < cache["fork_tokens"]
    assert cache["recomputed_share"] == pytest.approx(
        cache["recomputed_tokens"] / cache["fork_tokens"], abs=1e-4
    )


def test_run_again_it_generates_nothing_and_raised_samples_only_the_difference(
    finished: Path, tmp_path: Path
):
    out = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(finished), str(out)], check=True)
    again = raysweep(out)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    as_auto = raysweep(out, "sweep.backend=auto", "stages=[plan,generate]")
    whole = len(WEIGHTS)
    said = f"vllm for {whole} of {whole} engines: made the samples in this folder"
    assert said in as_auto.stdout
    assert "nothing to do" in as_auto.stdout
    before = samples(out)
    more = raysweep(out, "sweep.samples=3")
    assert more.returncode == 0, more.stdout + more.stderr
    after = samples(out)
    assert len(after) == SAMPLES * 3 // 2
    kept = after.loc[after["sample_index"].astype(int) < 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)


def test_another_batch_size_and_a_kill_on_the_way_give_identical_samples(
    finished: Path, tmp_path: Path
):
    changes = ["generation.max_rows=3", "generation.shard_questions=1"]
    process = subprocess.Popen(command(tmp_path, *changes), stdout=subprocess.DEVNULL)
    while not list(tmp_path.rglob("shard-*.parquet")):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list(tmp_path.rglob("shard-*.parquet"))) < 2 * SHARDS
    done = raysweep(tmp_path, *changes)
    assert done.returncode == 0, done.stdout + done.stderr
    pd.testing.assert_frame_equal(samples(tmp_path), samples(finished))

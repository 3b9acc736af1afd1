"""The server engine against vLLM's own server on the embedded family: the same answers as vLLM in the actor.

The server is `vllm serve`, started by its module, which also runs where vLLM is installed under the name of
its CPU build. It keeps its own defaults for sampling, which must not matter.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.tiny_models import MODELS

pytestmark = pytest.mark.slow

NAME = "tiny-140k"
GRID = [
    f"sweep.models=[{{name: {NAME}, family: {{name: tiny, sampling: {{temperature: 0}}}}}}]",
    "sweep.weights=[bf16]",
    "sweep.kv_policies=[full]",
    "sweep.benchmarks=[{name: chain, count: 12}, {name: facts, count: 6}]",
    "sweep.token_budgets=[16,48,96]",
    "sweep.group_sizes=[1,2]",
    "sweep.samples=2",
    "generation.shard_questions=1",
    "generation.max_rows=4",
    "cluster.actors=1",
    "stages=[plan,generate,reduce]",
]
SHARDS, SAMPLES = 12 + 6, (12 + 6) * 2
FROM_THE_TRACE = ["token_ids", "finish", "answers", "trace_tokens", "prompt_tokens"]


class VllmServer:
    """vLLM's server of a shipped model, with the settings of the engine on a CPU."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--model", str(MODELS / NAME), "--served-model-name", "of-this-test"]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--max-model-len", "1024"]
        command += ["--kv-cache-memory-bytes", "100000000", "--block-size", "32"]
        command += ["--enforce-eager", "--no-enable-chunked-prefill", "--max-num-seqs", "8"]
        command += ["--max-num-batched-tokens", "2048", "--enable-prompt-tokens-details"]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self) -> None:
        """End it and its engine's process at once, as a crash would."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def wait_until_ready(self) -> None:
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}/models", timeout=5) as answer:
                    assert json.load(answer)["data"][0]["id"] == "of-this-test"
                    return
            except OSError:
                assert self.process is not None and self.process.poll() is None
                time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def command(out: Path, *changes: str) -> list[str]:
    return [sys.executable, "-m", "raysweep", f"out={out}", "run=R", *GRID, *changes]


def parts(out: Path) -> list[Path]:
    return sorted(out.rglob("samples/*/*.parquet"))


def samples(out: Path) -> pd.DataFrame:
    """What was decoded, by engine, question and sample."""
    rows = pd.concat([pq.ParquetFile(part).read().to_pandas() for part in parts(out)])
    rows = rows.set_index(["engine_id", "benchmark", "question_id", "sample_index"]).sort_index()
    assert rows.index.is_unique
    return rows.loc[:, FROM_THE_TRACE].map(
        lambda cell: json.dumps(cell, default=lambda a: a.tolist())
    )


@pytest.fixture(scope="module")
def server() -> Iterator[VllmServer]:
    started = VllmServer()
    started.start()
    yield started
    started.kill()


@pytest.fixture(scope="module")
def by_vllm(tmp_path_factory: pytest.TempPathFactory, server: VllmServer) -> pd.DataFrame:
    """The samples of vLLM in the actor; it runs while the server starts."""
    out = tmp_path_factory.mktemp("by-vllm")
    done = subprocess.run(
        command(out, "sweep.backend=vllm"), capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return samples(out)


def test_a_server_killed_and_started_again_in_mid_sweep_gives_the_answers_of_vllm_in_the_actor(
    tmp_path: Path, by_vllm: pd.DataFrame, server: VllmServer
):
    server.wait_until_ready()
    process = subprocess.Popen(
        command(tmp_path, "sweep.backend=server", f"server.address={server.address}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while len(parts(tmp_path)) < 3:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    server.kill()
    before = len(parts(tmp_path))
    time.sleep(1)
    server.start()
    said = process.communicate(timeout=200)[0]
    assert process.returncode == 0, said
    assert before < SHARDS == len(parts(tmp_path))
    found = samples(tmp_path)
    assert len(found) == SAMPLES
    pd.testing.assert_frame_equal(found, by_vllm)
    counts = json.loads((tmp_path / "R" / "summary.json").read_text())
    assert counts["outcomes"]["error"] == 0 and counts["faults_by_kind"] == {}
    assert any("answered by vllm-" in line for line in counts["warnings"])
    assert 0 < counts["prefix_cache"]["recomputed_share"] < 1

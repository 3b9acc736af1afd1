"""Benchmarks from the Hugging Face hub: out of its cache without a network, and what it may refuse.

The cache is a real one in the hub's layout, the hub a server on this machine that answers as the hub does.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import errors
from support.data_sets import COMMIT, sums, write_hub_cache

from raysweep.benchmarks.sources import hub_file
from raysweep.errors import ConfigError

ROOT = Path(__file__).parents[2]


def show(
    cache: Path, revision: str, benchmark: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """`stages=[show]` of a question from the hub, run as a user runs it."""
    source = f"{{hub: invented/sums, revision: {revision}, file: data/test.jsonl}}"
    entry = f"{{name: own, loader: table, source: {source}, question: problem, id: id}}"
    answers = "grader: integer, answer_opener: 'It is', answer_tokens: 8"
    entry = benchmark or entry.replace("id: id", f"id: id, {answers}")
    return subprocess.run(
        [sys.executable, "-m", "raysweep", "stages=[show]", f"sweep.benchmarks=[{entry}]"],
        cwd=cache.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_CACHE": str(cache), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("revision", [COMMIT, "main"])
def test_a_file_that_was_fetched_once_needs_no_network(revision: str, tmp_path: Path):
    write_hub_cache(tmp_path / "hub", "invented/sums", "data/test.jsonl", sums())
    answer = show(tmp_path / "hub", revision, HF_HUB_OFFLINE="1")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "question  sum-0 of own, as tiny-60k is asked it" in answer.stdout


def test_a_file_that_was_never_fetched_is_named_when_there_is_no_network(tmp_path: Path):
    answer = show(tmp_path / "hub", "main", HF_HUB_OFFLINE="1")
    assert answer.returncode == 2
    assert answer.stderr == (
        "raysweep: sweep.benchmarks[0].source: data/test.jsonl of invented/sums@main is not in the cache "
        "and cannot be fetched (LocalEntryNotFoundError); fetch it once with a network and keep "
        "the cache, or give the path of your own copy as source\n"
    )


@contextmanager
def hub_that_says(status: int, code: str) -> Iterator[str]:
    """The address of a hub that answers every request with one of its errors."""

    class Refusal(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("benchmark", "status", "code", "words"),
    [
        (
            "gpqa-diamond",
            401,
            "GatedRepo",
            "gpqa_diamond.csv of Idavidrein/gpqa@83022cefff930aea54f654c0b282e74b9eeda5c6 is gated; "
            "accept its terms at hf.co/datasets/Idavidrein/gpqa and set HF_TOKEN, or give the path",
        ),
        (
            "aime25",
            404,
            "RevisionNotFound",
            "does not exist: no such revision; correct the revision",
        ),
        (
            "aime25",
            401,
            "RepoNotFound",
            "does not exist or is private; correct the data set's name",
        ),
        ("aime25", 404, "EntryNotFound", "does not exist: no such file; correct the file's name"),
    ],
)
def test_what_the_hub_refuses_is_told_with_the_way_out(
    benchmark: str, status: int, code: str, words: str, tmp_path: Path
):
    (tmp_path / "home").mkdir()
    with hub_that_says(status, code) as address:
        answer = show(
            tmp_path / "hub",
            "main",
            benchmark,
            HF_ENDPOINT=address,
            HF_HOME=str(tmp_path / "home"),
            HF_TOKEN="",
            HF_HUB_OFFLINE="0",
            NO_PROXY="127.0.0.1",
            no_proxy="127.0.0.1",
        )
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert words in answer.stderr


def test_the_commit_that_a_moving_revision_meant_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_hub_cache(tmp_path, "invented/sums", "data/test.jsonl", sums())
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(path))
    file = hub_file("invented/sums", "data/test.jsonl", "main", None, "source")
    assert file.origin == f"hf://datasets/invented/sums@{COMMIT}/data/test.jsonl"
    assert hub_file("invented/sums", "data/test.jsonl", "main", file.sha256, "source") == file
    with pytest.raises(
        ConfigError, match=f"source: hf://.* has the SHA-256 {file.sha256}, not the pinned 0"
    ):
        hub_file("invented/sums", "data/test.jsonl", "main", 64 * "0", "source")


def test_a_name_that_the_hub_cannot_have_is_refused(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> str:
        raise errors.HFValidationError("Repo id must be ...")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(ConfigError, match="is not a valid name on the hub; write owner/name"):
        hub_file("a/b/c", "x.jsonl", "main", None, "source")

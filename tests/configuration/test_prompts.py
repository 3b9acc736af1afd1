"""What models are asked, rendered by the driver: from a folder, from the hub's cache, or from the hub."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
from support.configurations import write_checkpoint
from support.nouns import a_benchmark, a_model, a_run_config

from raysweep.configuration.prompts import rendered_prompts, with_prompts
from raysweep.errors import ConfigError
from raysweep.planning.plan import make_plan
from raysweep.run_config import RunConfig
from raysweep.spec import ModelSpec

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SUMS = a_benchmark()
ASKED = {q.question_id: f"user: {q.prompt}\nassistant: <think>\n" for q in SUMS.questions}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub" / "models--invented--model" / "snapshots" / COMMIT


def run_of(*models: ModelSpec, backend: str = "torch") -> RunConfig:
    return a_run_config(models=models, backend=backend)


def prompts_of(config: RunConfig, fetch: bool = False):
    return rendered_prompts(config, make_plan(config, []).to_do, fetch)


ON_THE_HUB = a_model(path="hf://invented/model", revision=COMMIT)


def test_shards_are_sent_with_each_question_as_their_model_reads_it(tmp_path: Path):
    folder = write_checkpoint(tmp_path / "model")
    small = a_model("small", path=str(folder))
    brief = replace(small.family, name="brief", system="Be brief.")
    config = run_of(small, a_model("large", path=str(folder), family=brief))
    shards = make_plan(config, []).to_do
    for shard in with_prompts(shards, rendered_prompts(config, shards, fetch=False)):
        system = "" if shard.engine.model.name == "small" else "system: Be brief.\n"
        for question in shard.questions:
            assert question.rendered == system + ASKED[question.question_id]


def test_the_fake_engine_is_asked_the_questions_themselves():
    prompts = prompts_of(run_of(a_model(), backend="fake"))
    assert prompts == {("toy", "sums"): {q.question_id: q.prompt for q in SUMS.questions}}


def test_a_model_of_the_hub_is_asked_by_its_files_in_the_cache(cache: Path):
    write_checkpoint(cache)
    assert prompts_of(run_of(ON_THE_HUB)) == {("toy", "sums"): ASKED}


def test_a_plan_does_without_the_prompts_of_a_model_that_is_still_on_the_hub():
    assert prompts_of(run_of(ON_THE_HUB)) == {}


def test_a_tokenizer_that_cannot_be_fetched_is_told_with_the_way_out():
    with pytest.raises(ConfigError) as raised:
        prompts_of(run_of(ON_THE_HUB), fetch=True)
    assert str(raised.value).startswith(
        f"sweep.models[0]: the tokenizer of hf://invented/model@{COMMIT} is not on this machine and "
        "cannot be fetched (LocalEntryNotFoundError); fetch it once with a network"
    )


class Hub(SimpleHTTPRequestHandler):
    """Answers as the hub does for one repository, whose files are in the folder."""

    def do_GET(self) -> None:
        names = os.listdir(self.directory)
        if "/tree/" in self.path:
            self.say([{"type": "file", "path": n, "size": 1, "oid": n} for n in names])
        elif self.path.startswith("/api/"):
            files = [{"rfilename": name} for name in names]
            self.say({"id": "invented/model", "sha": COMMIT, "siblings": files})
        else:
            super().do_GET()

    def say(self, answer: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def translate_path(self, path: str) -> str:
        return os.path.join(self.directory, os.path.basename(path))

    def end_headers(self) -> None:
        self.send_header("ETag", f'"{os.path.basename(self.path)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    folder = write_checkpoint(tmp_path / "repository")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_tokenizer_and_template_are_fetched_and_no_weights(hub: str, cache: Path, tmp_path: Path):
    program = (
        "from raysweep.checkpoints.hub import fetched\n"
        "from raysweep.configuration.prompts import TOKENIZER_FILES\n"
        "print(fetched('hf://invented/model', 'main', TOKENIZER_FILES, 'model'))"
    )
    environment = {
        **{**os.environ, "HF_ENDPOINT": hub, "HF_HUB_CACHE": str(tmp_path / "hub")},
        **{
            "HF_HOME": str(tmp_path),
            "HF_TOKEN": "",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
        },
        **{"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONPATH": str(ROOT)},
    }
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout.splitlines() == [str(cache)], done.stderr
    assert {file.name for file in cache.iterdir()} == {"tokenizer.json", "chat_template.jinja"}
    assert prompts_of(run_of(ON_THE_HUB)) == {("toy", "sums"): ASKED}

"""Nobody gets in: what others wrote (models, data sets, files, names) stays data, and secrets stay secret."""

import ast
import csv
import io
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import result_tables
import yaml
from browser import Browser, Page
from configurations import changed, read, valid_configuration, write_models
from examples import a_run_config
from packaging.requirements import Requirement
from pyarrow import fs
from report_page import texts
from rich.console import Console
from s3_server import CREDENTIALS, s3_server
from test_stages import Command, generate_here
from test_store import PART, rows

from raysweep import generating
from raysweep.configuration.fields import Fields
from raysweep.errors import ConfigError, StorageError, shown
from raysweep.part import decoded, encoded
from raysweep.printing import MASK, printable, without_secrets
from raysweep.reporting.page import render
from raysweep.reporting.terminal import frontier_table
from raysweep.stages import DONE, Run
from raysweep.store import Store

ROOT = Path(__file__).parents[1]
SOURCES = sorted(file for name in ("raysweep", "actors") for file in (ROOT / name).rglob("*.py"))
HOSTILE = "</script><script>document.body.dataset.error='xss'</script><img src=x onerror=alert(1)>"
ESCAPES = "\x1b[2Jgone\x1b]0;title\x07\r\x08\u202eevil\u2028"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_models(tmp_path, "small", "large")


# ---- code of others is not run ----
def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a source file, as (dotted name, node)."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


RUNS_CODE = re.compile(
    r"(^|\.)(torch\.load|yaml\.(load|unsafe_load|full_load)|os\.(system|popen)|joblib\.load|np\.load)$"
    r"|^(eval|exec|__import__)$"
)
SANDBOXED = ROOT / "raysweep/grading/sandboxed.py"  # which runs inside the sandbox, to run programs
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}


def test_no_pickle_is_read_nothing_is_evaluated_and_no_shell_is_started():
    assert len(SOURCES) > 80
    for file in SOURCES:
        assert not UNPICKLERS & {name.partition(".")[0] for name in imports(file)}, file
        for name, call in calls(file):
            assert file == SANDBOXED or not RUNS_CODE.search(name), f"{file}:{call.lineno}: {name}"
            shells = [key.value for key in call.keywords if key.arg == "shell"]
            assert not shells, f"{file}:{call.lineno}: shell="


def test_the_check_for_code_of_others_would_find_some(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text("import torch, yaml, os\ntorch.load(f)\nyaml.load(f)\nos.system(x)\neval(x)\n")
    assert len([name for name, _ in calls(file) if RUNS_CODE.search(name)]) == 4
    assert "torch" in list(imports(file))


def test_no_model_brings_code_of_its_own():
    for file in SOURCES:
        for name, call in calls(file):
            given = {key.arg: key.value for key in call.keywords}
            trust = given.get("trust_remote_code")
            assert trust is None or ast.unparse(trust) == "False", f"{file}:{call.lineno}"
            if name.endswith("ForCausalLM.from_pretrained"):
                assert ast.unparse(given["use_safetensors"]) == "True", f"{file}:{call.lineno}"


def test_a_yaml_file_that_asks_for_an_object_is_refused(mine: Path):
    file = mine / "model" / "small.yaml"
    file.write_text("!!python/object/apply:os.system [touch owned]\n")
    with pytest.raises(ConfigError, match=r"small\.yaml"):
        read(valid_configuration(), mine)
    assert not Path("owned").exists()


def test_a_config_yaml_of_a_run_that_asks_for_an_object_is_refused(tmp_path, capsys):
    command = Command(tmp_path, capsys)
    record = tmp_path / "test" / "config.yaml"
    record.parent.mkdir()
    record.write_text("identity: !!python/object/apply:os.system [touch owned]\n")
    with pytest.raises(ConfigError, match=r"config\.yaml cannot be read"):
        command("plan")


# ---- text of others stays text: in the page ----
def test_markup_in_any_name_or_fact_is_text_in_the_page(browser: Browser):
    named = result_tables.results(
        model=HOSTILE, kv_policy=HOSTILE, benchmark=HOSTILE, engine_id=HOSTILE
    )
    summary = {
        **named.summary,
        "run": HOSTILE,
        "git_revision": HOSTILE,
        "versions": {HOSTILE: HOSTILE},
        "incomplete": {HOSTILE: 3},
        "samples_missing": 3,
        "warnings": [HOSTILE],
        "parts_set_aside": [HOSTILE],
        "finishes": {HOSTILE: 1},
    }
    page = browser.open(render(replace(named, summary=summary)), name="hostile-facts")
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate("document.body.dataset.error ?? null") is None
    assert page.troubles == []
    assert any(HOSTILE in said for said in texts(page, "body"))


def test_the_page_holds_no_traces_and_no_questions():
    """Only names and numbers: what a model wrote, or a benchmark asks, is not in it."""
    from raysweep.reporting.page_data import page_data

    keys = set(re.findall(r'"(\w+)":', json.dumps(page_data(result_tables.results()))))
    assert not keys & {"text", "prompt", "gold", "answer", "trace", "token_ids"}


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")']


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_in_a_name_is_no_formula_in_csv(page: Page, formula: str):
    columns = "[{ name: 'n', value: (row) => row }, { name: 'x', value: () => -0.5 }]"
    text = page.evaluate(f"csvOf({columns}, [{json.dumps(formula)}])")
    (_, row) = csv.reader(io.StringIO(text, newline=""))
    assert row == [f"'{formula}", "-0.5"]


# ---- text of others stays text: in the terminal ----
def test_control_characters_are_printed_as_what_they_are():
    said = printable(ESCAPES)
    assert said == r"\x1b[2Jgone\x1b]0;title\x07\r\x08\u202eevil\u2028"
    assert printable("Käse – 測試 ✓") == "Käse – 測試 ✓"
    assert printable("two\n\tlines\x1b", lines=True) == "two\n\tlines\\x1b"


def printed(print_it: Any) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=300, color_system=None)
    print_it(console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_no_stage_prints_control_characters_of_others():
    def say(console: Console) -> None:
        run = Run(a_run_config(), {}, Store("runs"), console)
        run.say("failed", f"shard of {ESCAPES} [red]markup[/red]")

    said = printed(say)
    assert "\x1b" not in said and "\x07" not in said and "[red]markup[/red]" in said


def test_no_table_in_the_terminal_holds_control_characters_of_others():
    rows = result_tables.results(model=ESCAPES, benchmark=ESCAPES).frontier
    said = printed(lambda console: console.print(frontier_table(rows, ESCAPES, 1)))
    assert "\x1b[2J" not in said and r"\x1b[2J" in said


@pytest.mark.parametrize("kind", [ConfigError, StorageError])
def test_no_error_holds_control_characters_or_secrets_of_others(kind: type[Exception]):
    said = str(kind(f"out: 's3://key:sesame@bucket?token=sesame' and {ESCAPES}"))
    assert "\x1b" not in said and "\u202e" not in said and "sesame" not in said


# ---- paths ----
TRAVERSALS = [
    "../up",
    "/etc/passwd",
    "a/b",
    "..",
    ".",
    ".hidden",
    "a\\b",
    "a\0b",
    "",
    " ",
    "~root",
    "a" * 101,
]


@pytest.mark.parametrize("name", TRAVERSALS)
def test_a_run_or_a_benchmark_cannot_be_named_as_a_path(mine: Path, name: str):
    with pytest.raises(ConfigError, match=r"^run: "):
        read(changed("run", name), mine)
    with pytest.raises(ConfigError, match=r"^sweep\.benchmarks\[0\]"):
        read(changed("sweep.benchmarks", [{"name": name, "loader": "chain"}]), mine)


@pytest.mark.parametrize("name", TRAVERSALS)
def test_a_name_that_is_a_path_is_no_name(name: str):
    with pytest.raises(ConfigError):
        Fields("", {"name": name}).name("name")


def test_a_part_cannot_point_out_of_its_folder(tmp_path):
    """Ids in a part's metadata name files that are read later: a part must lie where it says."""
    store = Store(str(tmp_path / "run"))
    store.write_part(PART, rows(2))
    (name,) = store.part_names()
    secret = encoded(replace(PART, engine_id="../../..", shard_id="x"))
    data = store._encoded(rows(2), {b"raysweep.part": secret})
    store.folder.write(name, data)
    with pytest.raises(ConfigError, match="it is the part of another name"):
        list(store.parts())


@pytest.mark.parametrize("said", [b"[]", b"{}", b'{"engine_id": 1}', b"null", b'"x"', b"{"])
def test_a_parts_metadata_of_another_shape_is_refused(said: bytes):
    with pytest.raises(ValueError):
        decoded(said)


def test_a_part_of_a_newer_raysweep_with_more_to_say_is_read():
    assert decoded(json.dumps({**json.loads(encoded(PART)), "mood": "good"}).encode()) == PART


# ---- secrets ----
ADDRESSES = [
    "s3://AKIA:sesame@bucket/runs",
    "s3://AKIA:ses/ame@bucket/runs",
    "s3://bucket/runs?access_key=sesame&secret_key=sesame&region=x",
    "gs://bucket/runs?access_token=sesame",
    "https://user:sesame@host/file?X-Amz-Signature=sesame",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_shown_without_its_secrets(address: str):
    for said in (Store(address).path("x"), shown(address), str(ConfigError(address))):
        assert "sesame" not in said and "ame@" not in said and MASK in said


def test_what_is_no_secret_is_shown():
    for said in ("hf://datasets/owner/set@0123/file", "s3://b/x?region=eu&scheme=http", "a@b"):
        assert without_secrets(said) == said


def everything_below(address: str) -> Iterator[tuple[str, str]]:
    """The name and the text of every file, a Parquet file's unpacked."""
    filesystem, path = fs.FileSystem.from_uri(address)
    for info in filesystem.get_file_info(fs.FileSelector(path, recursive=True)):
        if info.type == fs.FileType.File:
            data = filesystem.open_input_stream(info.path).read()
            text = data.decode(errors="replace")
            if info.path.endswith(".parquet"):
                table = pq.read_table(pa.BufferReader(data))
                text = f"{text}{table.to_pydict()}{table.schema.metadata}"
            yield info.path, text


def test_no_secret_of_an_address_or_the_environment_is_in_what_a_run_prints_or_leaves(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(generating, "generate", generate_here)
    monkeypatch.setenv("HF_TOKEN", "sesame-token")
    monkeypatch.chdir(tmp_path)
    with s3_server() as s3:
        for name in CREDENTIALS:
            if "KEY" in name:
                monkeypatch.delenv(name)
        address = s3.address("runs").replace("s3://", "s3://AKIASESAME:sesame@")
        command = Command(tmp_path, capsys)
        stages = ("verify", "plan", "generate", "reduce", "report")
        status, said = command(*stages, out=address)
        assert status == DONE and "s3://***@bucket/runs/test/report/index.html" in said
        left = dict(everything_below(address))
    run = "bucket/runs/test/"
    assert {run + "config.yaml", run + "report/index.html", run + "scores.parquet"} <= set(left)
    for name, text in {**left, "the terminal": said}.items():
        assert "sesame" not in text.lower(), name
    assert yaml.safe_load(left[run + "config.yaml"])["configuration"]["out"].startswith("s3://***@")


# ---- Ray ----
ASKS_WITHOUT_A_TOKEN = """
import os, subprocess, sys
import ray
from raysweep.ray_session import ray_session
from raysweep.run_config import Cluster
with ray_session(Cluster("local", 1, 1.0, 0.0)):
    address = ray.get_runtime_context().gcs_address
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    ask = "import ray; ray.init(address=%r, log_to_driver=False)" % address
    env = {**os.environ, "RAY_AUTH_TOKEN": "wrong" * 8}
    other = subprocess.run([sys.executable, "-c", ask], env=env, capture_output=True, text=True, timeout=60)
    print(other.returncode != 0, "uthenti" in other.stderr)
    print("dashboard", repr(ray._private.worker._global_node.webui_url or None))
"""


def test_a_local_ray_lets_nobody_in_without_its_token_and_opens_no_dashboard(tmp_path):
    unset = ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE")
    env = {k: v for k, v in os.environ.items() if k not in unset}
    done = subprocess.run(
        [sys.executable, "-c", ASKS_WITHOUT_A_TOKEN],
        env={**env, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.stdout.splitlines() == ["True True", "dashboard None"], done.stderr[-2000:]


# ---- dependencies ----
LOCK = ROOT / "requirements" / "lock.txt"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+) \\$", re.MULTILINE)


def test_every_dependency_is_locked_at_an_allowed_version_with_its_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(r) for r in [*project["dependencies"], *extras["dev"], *extras["s3"]]]
    locked = dict(PINNED.findall(LOCK.read_text()))
    for requirement in wanted:
        if requirement.name != "torch":  # goes first and by itself
            assert requirement.specifier.contains(locked[requirement.name]), requirement
    for entry in re.split(r"\n(?=[a-z0-9])", LOCK.read_text())[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry[:80]
    assert len(locked) > 100 and "torch" not in locked and not any("nvidia" in n for n in locked)

"""Input from outside (models, data sets, files, names) stays data, and secrets stay secret."""

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.configurations import changed, read, write_models
from support.parts import PART, rows

from raysweep.configuration.fields import Fields
from raysweep.errors import ConfigError
from raysweep.storage.part import PART_KEY, decoded, encoded
from raysweep.storage.store import Store

ROOT = Path(__file__).parents[2]
HOSTILE = "</script><script>document.body.dataset.error='xss'</script><img src=x onerror=alert(1)>"
ESCAPES = "\x1b[2Jgone\x1b]0;title\x07\r\x08\u202eevil\u2028"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_models(tmp_path, "small", "large")


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
    """Ids in a part's metadata name files that are read later, so they must match the part's own name."""
    store = Store(str(tmp_path / "run"))
    store.write_part(PART, rows(2))
    (name,) = store.part_names()
    secret = encoded(replace(PART, engine_id="../../..", shard_id="x"))
    data = store._encoded([rows(2)], {PART_KEY: secret})
    store.folder.write(name, data)
    with pytest.raises(ConfigError, match="its metadata belong to another part"):
        list(store.parts())


@pytest.mark.parametrize("said", [b"[]", b"{}", b'{"engine_id": 1}', b"null", b'"x"', b"{"])
def test_a_parts_metadata_of_another_shape_is_refused(said: bytes):
    with pytest.raises(ValueError):
        decoded(said)


def test_a_part_of_a_newer_raysweep_with_more_to_say_is_read():
    assert decoded(json.dumps({**json.loads(encoded(PART)), "mood": "good"}).encode()) == PART


ASKS_WITHOUT_A_TOKEN = """
import os, subprocess, sys
import ray
from raysweep.driver.ray_session import ray_session
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

"""A Ray of one's own, started and ended quietly, and what is refused before it can hang."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
from examples import a_cluster
from ray._private import worker as ray_worker

from raysweep.errors import ConfigError
from raysweep.ray_session import ray_session

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


@ray.remote
def failing() -> None:
    raise ValueError("no luck")


def test_a_failed_call_that_nobody_asks_about_prints_nothing(monkeypatch):
    printed = []
    monkeypatch.setattr(ray_worker, "_unhandled_error_handler", printed.append)
    with ray_session(a_cluster(actors=1)):
        call = failing.remote()
        time.sleep(3)  # asking whether it has ended would count as asking about it
        del call
        gc.collect()
        time.sleep(0.5)  # Ray looks at dropped calls in a thread of its own
    assert printed == []


SCRIPT = """
import sys
from pathlib import Path
sys.path.append({tests!r})
from examples import a_cluster, a_generation, some_shards
import ray
from raysweep.driver import generate
outcome = generate(some_shards(), "runs", a_generation(), a_cluster(actors=1), lambda receipt: None)
print(outcome.samples, ray.is_initialized(), len(list(Path("runs/samples").glob("*/*.parquet"))))
"""


def test_a_local_ray_is_started_from_anywhere_quietly_and_leaves_nothing_behind(tmp_path):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    unset = ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(tests=str(ROOT / "tests"))],
        cwd=work,
        env={**environment, "HOME": str(home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.stdout, ended.stderr) == ("12 False 4\n", "")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("address", ["local", "10.0.0.1:6379"])
@pytest.mark.parametrize(("cpus", "gpus"), [(1.0, 999.0), (999.0, 0.0), (8.0, 2.0)])
def test_an_actor_that_fits_no_node_is_bad_input(monkeypatch, address, cpus, gpus):
    for name in ("init", "shutdown"):
        monkeypatch.setattr(ray, name, lambda **_: None)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    nodes = [{"CPU": 8.0, "GPU": 1.0}, {"CPU": 4.0, "GPU": 2.0}, {"CPU": 999.0, "GPU": 999.0}]
    states = [{"Alive": node["CPU"] < 10, "Resources": node} for node in nodes]
    monkeypatch.setattr(ray, "nodes", lambda: states)
    with ray_session(a_cluster(address=address, cpus_per_actor=4.0, gpus_per_actor=2.0)):
        pass
    with (
        pytest.raises(ConfigError, match=f"no Ray node has the {cpus:g} CPUs and {gpus:g} GPUs"),
        ray_session(a_cluster(address=address, cpus_per_actor=cpus, gpus_per_actor=gpus)),
    ):
        pass


def test_an_address_that_is_none_is_bad_input(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with (
        pytest.raises(ConfigError, match=r"cluster\.address: no Ray cluster answers at 'nonsense'"),
        ray_session(a_cluster(address="nonsense")),
    ):
        pass

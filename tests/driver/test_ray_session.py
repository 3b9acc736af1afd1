"""A private Ray that starts and ends quietly, and input that is refused before Ray can hang."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import ray
from ray._private import ray_constants
from ray._private import worker as ray_worker
from ray.util.metrics import Counter
from support.nouns import a_cluster, a_generation, some_shards

from raysweep.driver.ray_nodes import check_room, live_nodes
from raysweep.driver.ray_session import ray_session
from raysweep.errors import ConfigError
from raysweep.planning.jobs import jobs_of
from raysweep.planning.lengths import Lengths
from raysweep.run_config import Gpu, Pool

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@ray.remote
def failing() -> None:
    raise ValueError("no luck")


def test_a_failed_call_that_nobody_asks_about_prints_nothing(monkeypatch):
    printed = []
    monkeypatch.setattr(ray_worker, "_unhandled_error_handler", printed.append)
    with ray_session(a_cluster(actors=1)):
        call = failing.remote()
        time.sleep(
            3
        )  # Ray would take a question whether the call has ended for interest in its result.
        del call
        gc.collect()
        time.sleep(0.5)  # Ray looks at dropped calls in a thread of its own
    assert printed == []


@ray.remote
def counted() -> list[int]:
    Counter("raysweep_test_counted").inc()
    return [os.getpid(), os.getppid()]


def test_all_processes_of_a_private_ray_listen_on_this_machine_alone():
    """Metrics among them, which need no token."""
    own = psutil.Process()
    before = set(own.children(recursive=True))
    with ray_session(a_cluster(actors=1)):
        ray.get(counted.remote())
        time.sleep(3)  # its agent serves metrics by then
        started = {*own.children(recursive=True)} - before
        listening = {
            (process.name(), socket.laddr.ip.removeprefix("::ffff:"))
            for process in started
            for socket in process.net_connections("inet")
            if socket.status == psutil.CONN_LISTEN
        }
    assert {address for _, address in listening} == {"127.0.0.1"}, listening
    assert {"gcs_server", "raylet"} <= {name for name, _ in listening}
    assert ray_constants.ENABLE_RAY_CLUSTER


SCRIPT = """
import sys
from pathlib import Path
sys.path.append({tests!r})
from support.nouns import a_run_config, some_shards
import ray
from raysweep.driver.generate import generate
from raysweep.planning.lengths import Lengths
from raysweep.storage.store import Store
outcome = generate(some_shards(), Store("runs"), a_run_config(actors=1), Lengths(64))
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


def states(*nodes: dict[str, float], **labels: str) -> list[dict]:
    return [
        {"NodeID": str(i), "Alive": node["CPU"] < 100, "Resources": node, "Labels": labels}
        for i, node in enumerate(nodes)
    ]


@pytest.mark.parametrize(("cpus", "gpus"), [(1.0, 999.0), (999.0, 0.0), (8.0, 2.0)])
def test_an_actor_that_fits_no_node_is_bad_input(monkeypatch, cpus, gpus):
    there = states({"CPU": 8.0, "GPU": 1.0}, {"CPU": 4.0, "GPU": 2.0}, {"CPU": 999.0, "GPU": 999.0})
    monkeypatch.setattr(ray, "nodes", lambda: there)
    check(cpus_per_actor=4.0, gpus_per_actor=2.0)
    with pytest.raises(ConfigError, match=f"no Ray node has the {cpus:g} CPUs and {gpus:g} GPUs"):
        check(cpus_per_actor=cpus, gpus_per_actor=gpus)


def check(**changes) -> None:
    cluster = a_cluster(**changes)
    jobs = jobs_of(some_shards(), a_generation(), cluster, lengths=Lengths(64))
    check_room(jobs, live_nodes(cluster), cluster)


def test_the_refusal_says_what_nodes_there_are(monkeypatch):
    monkeypatch.setattr(ray, "nodes", lambda: states({"CPU": 8.0, "GPU": 1.0}))
    with pytest.raises(ConfigError) as raised:
        check(cpus_per_actor=1.0, gpus_per_actor=2.0)
    assert str(raised.value).startswith(
        "cluster: no Ray node has the 1 CPUs and 2 GPUs that an actor of toy.bf16.full needs; "
        "the nodes have 8 CPUs and 1 GPUs; change cluster.cpus_per_actor"
    )


def test_where_nodes_may_still_come_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(ray, "nodes", list)
    check(autoscaling=True)
    with pytest.raises(ConfigError, match="the nodes have nothing"):
        check()


def test_a_node_has_the_kind_of_gpu_of_its_label_or_the_only_one_that_is_configured(monkeypatch):
    two = a_cluster(pools=(Pool(a_gpu("L4")), Pool(a_gpu("H100"))))
    one = a_cluster(pools=(Pool(a_gpu("L4")),))
    with_gpu = {"CPU": 8.0, "GPU": 1.0}
    monkeypatch.setattr(ray, "nodes", lambda: states(with_gpu, {"CPU": 8.0}))
    assert [node.kind for node in live_nodes(one)] == ["L4", ""]
    assert [node.kind for node in live_nodes(two)] == ["", ""]
    label = {"ray.io/accelerator-type": "H100"}
    monkeypatch.setattr(ray, "nodes", lambda: states(with_gpu, **label))
    assert [node.kind for node in live_nodes(one)] == ["H100"]


def a_gpu(kind: str) -> Gpu:
    return Gpu(kind.lower(), 10**9, 1e12, 1e15, kind)


def test_an_address_that_is_none_is_bad_input(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with (
        pytest.raises(ConfigError, match=r"cluster\.address: no Ray cluster answers at 'nonsense'"),
        ray_session(a_cluster(address="nonsense")),
    ):
        pass


def test_too_few_addresses_are_refused_before_ray_waits_for_what_cannot_load(tmp_path):
    script = (
        "from support.nouns import a_cluster; from raysweep.driver.ray_session import ray_session\n"
    )
    script += "with ray_session(a_cluster()): pass"
    ended = subprocess.run(
        ["bash", "-c", 'ulimit -v 2000000; exec "$0" -c "$1"', sys.executable, script],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
    )
    assert ended.stderr.splitlines()[-1].startswith(
        "raysweep.errors.ConfigError: ulimit -v: 2000000 kB of addresses per process are too few for "
        "Ray and its actors; raise it to 3000000 or more"
    )

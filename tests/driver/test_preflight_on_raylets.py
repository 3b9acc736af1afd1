"""The preflight on real raylets, of which some see another folder or other code than the driver."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster as RayCluster
from support.nouns import a_cluster

from actors import node_report as node_side
from raysweep.configuration.config import conf_folder
from raysweep.driver.node_questions import Questions
from raysweep.driver.preflight import Preflight, check_nodes, own_report
from raysweep.driver.ray_nodes import live_nodes
from raysweep.driver.ray_session import QUIET
from raysweep.errors import ConfigError

ROOT = conf_folder().parent
HERE = own_report()

PORTS = ("dashboard-agent-listen-port", "min-worker-port", "max-worker-port")

SWEEP = [
    *("+sweep=smoke", "cluster=existing", "stages=[generate]", "sweep.samples=2"),
    *("sweep.models=[tiny-60k]", "sweep.weights=[bf16]", "sweep.kv_policies=[full]"),
    *("sweep.group_sizes=[1]", "sweep.benchmarks=[{name: chain, count: 4}]"),
]


@pytest.fixture
def head(monkeypatch) -> Iterator[RayCluster]:
    """A Ray cluster of one raylet, to which others can be added."""
    for name, value in {**QUIET, "RAY_AUTH_TOKEN": secrets.token_hex(32)}.items():
        monkeypatch.setenv(name, os.environ.get(name, value))
    args = {"num_cpus": 1, "include_dashboard": False}
    cluster = RayCluster(initialize_head=True, head_node_args=args)
    yield cluster
    cluster.shutdown()


@contextmanager
def raylet(cluster: RayCluster, *bound: tuple[Path, Path]) -> Iterator[None]:
    """A raylet to which each first folder seems to lie at the place of the second."""
    before = live(cluster)
    binds = [word for there, here in bound for word in ("--bind", str(there), str(here))]
    start = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1"]
    # Ray's own choice of these would be the same for each raylet of a machine.
    start += [f"--{port}=0" for port in PORTS]
    sees = ["bwrap", "--dev-bind", "/", "/", *binds, "--die-with-parent"]
    process = subprocess.Popen(
        [*sees, *start, f"--address={cluster.address}"], stdout=subprocess.DEVNULL
    )
    try:
        # Two raylets that start at once on one machine would take the same names.
        wait_for(cluster, before + 1)
        yield
    finally:
        process.kill()
        process.wait()
        wait_for(cluster, before)


def wait_for(cluster: RayCluster, nodes: int) -> None:
    """Wait until the cluster has so many live nodes."""
    until = time.monotonic() + 120
    while live(cluster) != nodes:
        assert time.monotonic() < until, f"the cluster has {live(cluster)} nodes, not {nodes}"
        time.sleep(0.5)


def live(cluster: RayCluster) -> int:
    """The number of live nodes, as the head counts them."""
    return len(cluster.global_state._live_node_ids())


def sweep(cluster: RayCluster, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "raysweep", *SWEEP, f"out={out}", *more]
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )


@pytest.mark.slow
def test_a_node_that_joins_during_a_run_is_used_only_once_it_has_passed(
    head: RayCluster, tmp_path: Path
):
    ray.init(address=head.address, log_to_driver=False)
    nodes = live_nodes(a_cluster(address="auto"))
    lines: list[str] = []
    seen = Questions(token="token", folders=(("out", str(tmp_path)),))
    failing = Preflight(seen, tell=lines.append)
    assert failing.admitted(nodes) == ()  # it has not answered yet
    while not failing.refused:
        assert failing.admitted(nodes) == ()
    (line,) = lines
    assert line.startswith("node ") and "does not see what the driver wrote into out" in line
    (tmp_path / "token").touch()
    passing = Preflight(seen)
    while not passing.admitted(nodes):
        assert not passing.refused
    assert passing.admitted(nodes) == nodes
    unable = Preflight(seen, able=lambda node: False)
    unable.check(nodes)
    assert unable.admitted(nodes) == () and not unable.refused
    folders = (("prepare.checkpoints", str(tmp_path)),)
    cluster = a_cluster(address="auto")
    check_nodes(cluster, folders, (str(tmp_path),), ("actors.quantize",), ("torch",))
    with pytest.raises(ConfigError, match=r"node .*: has no gptq_of_mine, which its engines need"):
        check_nodes(cluster, folders, (), (), ("gptq_of_mine",))
    ray.shutdown()


@pytest.mark.slow
def test_nodes_with_another_folder_or_another_raysweep_are_refused_and_once_mended_the_sweep_runs(
    head: RayCluster, tmp_path: Path
):
    out, elsewhere, other = tmp_path / "runs", tmp_path / "elsewhere", tmp_path / "raysweep"
    out.mkdir()
    elsewhere.mkdir()
    shutil.copytree(ROOT / "raysweep", other)
    (other / "errors.py").write_text((other / "errors.py").read_text() + "# other\n")
    with ExitStack() as nodes:
        nodes.enter_context(raylet(head, (elsewhere, out)))
        nodes.enter_context(raylet(head, (other, ROOT / "raysweep")))
        refused = sweep(head, out)
    assert refused.returncode == 2, refused.stderr
    lines = sorted(line.split(": ", 2)[2] for line in refused.stderr.splitlines())
    assert len(lines) == 2 and all(
        "raysweep: node " in line for line in refused.stderr.splitlines()
    )
    assert lines[0].startswith(
        f"does not see what the driver wrote into out, {out}/smoke; give out="
    )
    assert lines[1].startswith("has another raysweep (0.1.0, code ")
    with raylet(head), raylet(head):
        mended = sweep(head, out)
    assert mended.returncode == 0, mended.stderr
    noted = json.loads((out / "smoke" / "nodes.json").read_text())["nodes"]
    assert len(noted) == 3 and all(node["code"] == HERE.code for node in noted)
    shown = sweep(head, out, "stages=[status]")
    assert shown.returncode == 0 and shown.stdout.count("node      ") == 3
    assert [file for file in (out / "smoke").iterdir() if file.name.startswith(".preflight")] == []


def installed_in(folder: Path) -> Path:
    """Where a process finds raysweep that is started elsewhere: the checkout that was installed."""
    told = [sys.executable, "-c", "import raysweep; print(raysweep.__path__[0])"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(told, cwd=folder, env=environment, capture_output=True, text=True)
    return Path(said.stdout.strip()).parent


@pytest.mark.slow
def test_a_node_without_raysweep_is_refused_and_gets_the_code_where_it_is_to_be_sent(
    head: RayCluster, tmp_path: Path
):
    empty = tmp_path / "empty"
    empty.mkdir()
    hidden = [
        (empty, root / name) for root in {ROOT, installed_in(tmp_path)} for name in node_side.OURS
    ]
    with raylet(head, *hidden):
        refused = sweep(head, tmp_path / "runs")
        assert refused.returncode == 2
        assert "has no raysweep; install it there as here" in refused.stderr
        sent = sweep(head, tmp_path / "runs", "cluster.send_code=true")
    assert sent.returncode == 0, sent.stderr
    noted = json.loads((tmp_path / "runs" / "smoke" / "nodes.json").read_text())["nodes"]
    assert [node["code"] for node in noted] == [HERE.code] * 2

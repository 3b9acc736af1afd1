"""Dashboard and alerts against a real Prometheus over a real Ray: once a real sweep, once a made-up one.

Of the made-up one the snapshots alone are: they go through Exporter and ActorMetrics, Ray's agent and its
service discovery. No GPU is needed: what Ray's agent serves on a node that has one is served here, too.
"""

import math
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import ray
from support.dashboards import ALERTS, GPU_METRICS, QUERIES, RULES
from support.manifests import ROOT
from support.nouns import an_engine
from support.prometheus import INSTALLED, MISSING, Prometheus, prometheus, target

from actors.engine import Usage
from actors.engine_metrics import ActorMetrics
from raysweep.monitoring.metric_names import METRICS
from raysweep.monitoring.ray_metrics import Exporter, engine_labels
from raysweep.monitoring.snapshot import EngineProgress, Snapshot
from raysweep.scheduling.loss_kinds import LossKind

needs_prometheus = pytest.mark.skipif(not INSTALLED, reason=MISSING)


def snapshot(second: int) -> Snapshot:
    labels = engine_labels(an_engine())
    engines = tuple(
        EngineProgress(
            engine_id=labels["engine"],
            model=labels["model"],
            weights=labels["weights"],
            kv_policy=labels["kv_policy"],
            benchmark=benchmark,
            shards_done=second,
            shards_running=2,
            shards_waiting=100 - second,
            samples=96 * second,
            tokens=5000 * second,
            tokens_left=5000 * (102 - second),
        )
        for benchmark in ("chain", "facts")
    )
    faults: dict[LossKind, int] = {"actor": second // 10, "node": second // 20}
    return Snapshot(engines, 1, 10_000.0, faults, second // 5, 102.0 - second, float(second))


@contextmanager
def watched_ray(folder: Path) -> Iterator[Prometheus]:
    """A Ray of this process, and a Prometheus that finds its nodes as Ray tells, and a node with a GPU."""
    short = Path(
        tempfile.mkdtemp(prefix="rs")
    )  # Ray puts sockets there, whose paths may not be long
    discovery = {
        "files": [str(short / "prom_metrics_service_discovery.json")],
        "refresh_interval": "1s",
    }
    node = '{SessionName="made-up",ip="10.0.0.1",GpuIndex="0"}'
    gpus = "".join(f"{name}{node} {value}\n" for name, value in GPU_METRICS.items())
    with pytest.MonkeyPatch.context() as patch, target(gpus) as gpu_node:
        # One for this process for good: Ray keeps the first that it reads.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=True,
            dashboard_port=0,
            object_store_memory=100_000_000,
            log_to_driver=False,
            _temp_dir=str(short),
            _system_config={"metrics_report_interval_ms": 1000},
        )
        scrapes = [
            {"job_name": "ray", "file_sd_configs": [discovery]},
            {"job_name": "gpu", "static_configs": [{"targets": [gpu_node]}]},
        ]
        try:
            with prometheus(folder, scrapes, RULES) as running:
                yield running
        finally:
            ray.shutdown()
            shutil.rmtree(short, ignore_errors=True)


def drop_found(missing: dict[str, str], running: Prometheus) -> None:
    """Take the queries out that find something, all of it numbers."""
    for name, expression in list(missing.items()):
        values = [float(sample["value"][1]) for sample in running.query(in_grafana(expression))]
        if values and not any(map(math.isnan, values)):
            del missing[name]


def in_grafana(expression: str) -> str:
    """A panel's query as Grafana sends it, all sessions chosen."""
    return expression.replace("$session", ".*").replace("$__rate_interval", "30s")


# What a sweep on CPUs, without vLLM and without a fault, has none of.
NOT_SEEN = {
    "Prefix cache hits of answers A": "only vLLM computes answers from a cache of prefixes",
    "GPU memory of an engine A": "there is no GPU",
    "Lost actors, by kind of loss A": "no actor was lost",
    "Shards queued again A": "no shard was",
}


@needs_prometheus
@pytest.mark.slow
def test_a_real_sweep_is_seen_by_every_query_but_those_that_have_a_reason(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "raysweep",
        "+sweep=smoke",
        f"out={tmp_path}",
        "cluster=existing",
    ]
    small = ["cluster.actors=1", "generation.shard_questions=2", "generation.shard_samples=2"]
    long = ["sweep.samples=8"]  # an engine is to be there for some of Ray's reports
    missing, deadline = dict(QUERIES), time.monotonic() + 300
    (memory_alert,) = (rule["expr"] for rule in ALERTS if rule["alert"] == "RaysweepMemoryModelOff")
    off_the_model: Counter[str] = Counter()  # looks at an engine
    with watched_ray(tmp_path) as running:
        address = ray.get_runtime_context().gcs_address
        environment = {**os.environ, "RAY_ADDRESS": address, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            [*command, *small, *long], env=environment, stdout=subprocess.PIPE
        ) as sweep:
            while sweep.poll() is None and time.monotonic() < deadline:
                drop_found(missing, running)
                off_the_model.update(m["metric"]["engine"] for m in running.query(memory_alert))
                time.sleep(1)
            sweep.terminate()
        engines = {m["metric"]["engine"] for m in running.query("ray_raysweep_tokens_total")}
    assert sweep.returncode == 0
    assert len(engines) >= 7  # of 8: the last one may end between two of Ray's reports
    assert missing.keys() == NOT_SEEN.keys()
    # A report of Ray's may fall between the two gauges, and stays until the next, for two looks at most;
    # the alert itself waits for minutes.
    assert max(off_the_model.values(), default=0) <= 2, off_the_model


# Below, one Ray serves all tests to the end of this file.


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Any]]:
    """A Prometheus, and a function that lets a second of a made-up sweep pass."""
    with watched_ray(tmp_path_factory.mktemp("prometheus")) as running:
        exporter, seconds = Exporter(), count()
        actor: Any = ray.remote(ActorMetrics)
        engine = actor.options(num_cpus=0).remote(an_engine())
        ray.get(engine.loaded.remote(12.5))

        def tick(**changes: Any) -> None:
            exporter(replace(snapshot(next(seconds)), **changes))
            engine.prefix.remote(reused=90, recomputed=10)
            engine.graded.remote(0.2, answers=16)
            usage, gpu_bytes = partial(Usage, 24, 10_000, 10_000), partial(int, 5_000_000)
            ray.get(engine.idle.remote(usage, gpu_bytes))

        yield running, tick


@needs_prometheus
@pytest.mark.slow
def test_every_query_of_the_dashboard_finds_something_and_every_alert_is_evaluated(observed):
    running, tick = observed
    missing = dict(QUERIES)
    for _ in range(90):
        tick()
        time.sleep(1)
        drop_found(missing, running)
        if not missing:
            break
    assert missing == {}
    rules = [rule for group in running.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule["health"] for rule in rules} == {
        rule["alert"]: "ok" for rule in ALERTS
    }
    assert {rule["name"] for rule in rules if rule["state"] == "firing"} == set()


def names_in(running: Prometheus) -> set[str]:
    return {m["metric"]["__name__"] for m in running.query('{__name__=~"ray_raysweep_.*"}')}


@needs_prometheus
@pytest.mark.slow
def test_what_prometheus_has_is_what_was_said(observed):
    running, tick = observed
    # No estimate is shown as none, and not as the last there was.
    expected = {metric.exported for metric in METRICS} - {"ray_raysweep_seconds_left"}
    deadline = time.monotonic() + 60
    while (found := names_in(running)) != expected and time.monotonic() < deadline:
        tick(seconds_left=None)
        time.sleep(1)
    assert found == expected
    time.sleep(8)  # all that was said has been scraped
    labels = ("engine", "model", "weights", "kv_policy")
    (rows,) = running.query("ray_raysweep_rows")
    assert {key: rows["metric"][key] for key in labels} == engine_labels(an_engine())
    assert float(rows["value"][1]) == 24
    done = running.query('ray_raysweep_shards{state="done"}')
    samples = running.query("ray_raysweep_samples_total")
    assert {m["metric"]["benchmark"] for m in done} == {"chain", "facts"}
    counted = {m["metric"]["benchmark"]: 96 * float(m["value"][1]) for m in done}
    assert counted == {m["metric"]["benchmark"]: float(m["value"][1]) for m in samples}

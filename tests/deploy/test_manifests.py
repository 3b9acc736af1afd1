"""Every manifest as it is applied: valid by the schemas of its kind, with nothing that they do not know.

The schemas are KubeRay's for a RayJob, Kubernetes' own for what is in its core, and ours for the few fields
of other operators' resources (no package ships theirs).
"""

import os
import re
import subprocess
import sys
from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.manifests import K8S, OVERLAYS, ROOT, TOOLS, documents, faults, places, the, tool

OBJECTS = [(overlay, obj) for overlay in OVERLAYS for obj in documents(overlay)]
OBJECTS += [(name, obj) for name in TOOLS for obj in tool(name)]
NAMES = [f"{origin}-{obj['kind']}-{obj['metadata']['name']}" for origin, obj in OBJECTS]

# Maps whose keys are free: a field that is not known cannot be told there.
FREE = {
    "labels",
    "annotations",
    "matchLabels",
    "requests",
    "limits",
    "data",
    "rayStartParams",
    "resources",
}


@pytest.mark.parametrize(("origin", "obj"), OBJECTS, ids=NAMES)
def test_every_object_is_valid_by_the_schema_of_its_kind(origin: str, obj: Any):
    assert faults(obj) == []


WIDEST = documents("gcs-fault-tolerant") + documents("kueue") + tool("reader.yaml")
PLACES = [
    (number, path, value)
    for number, obj in enumerate(WIDEST)
    for path, value in places(obj)
    if path and path[0] not in ("kind", "apiVersion")
]
CLOSED = [
    (number, path)
    for number, path, value in PLACES
    if isinstance(value, dict) and path[-1] not in FREE and path != ("spec", "metadata")
]


def changed(number: int, path: tuple, change: Any) -> Any:
    """An object with `change` done to the value that `path` leads to."""
    obj = deepcopy(WIDEST[number])
    holder = obj
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = change(holder[path[-1]])
    return obj


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CLOSED))
def test_a_field_that_is_not_known_is_refused_wherever_it_stands(place: tuple):
    number, path = place
    wrong = changed(number, path, lambda value: {**value, "replica": 1})
    assert faults(wrong) != [], path


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PLACES))
def test_a_value_of_another_type_is_refused_wherever_it_stands(place: tuple):
    number, path, _ = place
    wrong = changed(number, path, lambda value: [] if not isinstance(value, list) else "text")
    assert faults(wrong) != [], path


REQUIRED = [
    ("RayJob", ("spec", "rayClusterSpec", "headGroupSpec")),
    ("RayJob", ("spec", "rayClusterSpec", "headGroupSpec", "template")),
    ("RayJob", ("spec", "rayClusterSpec", "workerGroupSpecs", 0, "groupName")),
    ("RayJob", ("spec", "submitterPodTemplate", "spec", "containers")),
    ("RayJob", ("spec", "submitterPodTemplate", "spec", "containers", 0, "name")),
    ("StatefulSet", ("spec", "selector")),
    ("StatefulSet", ("spec", "template", "spec", "containers", 0, "name")),
    ("Service", ("spec", "ports", 0, "port")),
    ("PodMonitor", ("spec", "selector")),
]


@pytest.mark.parametrize(("kind", "path"), REQUIRED)
def test_a_missing_field_is_refused(kind: str, path: tuple):
    obj = deepcopy(next(o for o in documents("gcs-fault-tolerant") if o["kind"] == kind))
    holder = obj
    for key in path[:-1]:
        holder = holder[key]
    del holder[path[-1]]
    assert faults(obj) != []


# ---- what the operator asks beyond its schema ----


def ray_job(overlay: str) -> Any:
    return the("RayJob", documents(overlay))["spec"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_job_is_one_that_the_operator_takes(overlay: str):
    job = ray_job(overlay)
    cluster = job["rayClusterSpec"]
    assert job["submissionMode"] in {"K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"}
    assert job["shutdownAfterJobFinishes"] and job["ttlSecondsAfterFinished"] > 0
    assert "clusterSelector" not in job  # which goes with no retries
    groups = cluster["workerGroupSpecs"]
    assert len({group["groupName"] for group in groups}) == len(groups)
    for group in groups:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    if cluster["enableInTreeAutoscaling"]:
        assert cluster["autoscalerOptions"]["version"] == "v2"
        specs = [g["template"]["spec"] for g in (cluster["headGroupSpec"], *groups)]
        assert {spec["restartPolicy"] for spec in specs} == {"Never"}
    else:
        assert "autoscalerOptions" not in cluster
        assert all(group["minReplicas"] == group["maxReplicas"] for group in groups)


def test_a_queued_job_waits_for_kueue_which_takes_no_autoscaler():
    job = the("RayJob", documents("kueue"))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "raysweep"
    assert the("LocalQueue", documents("kueue"))["metadata"]["name"] == "raysweep"
    assert job["spec"]["suspend"] is True
    assert job["spec"]["rayClusterSpec"]["enableInTreeAutoscaling"] is False


def test_with_tables_in_redis_the_driver_has_a_pod_that_alone_has_its_resource():
    job = ray_job("gcs-fault-tolerant")
    assert yaml.safe_load(job["entrypointResources"]) == {"driver": 1}
    groups = job["rayClusterSpec"]["workerGroupSpecs"]
    (driver,) = (group for group in groups if "driver" in group.get("resources", {}))
    assert (driver["minReplicas"], driver["maxReplicas"]) == (1, 1)
    redis = the("Service", documents("gcs-fault-tolerant"))
    address = f"{redis['metadata']['name']}:{redis['spec']['ports'][0]['port']}"
    assert job["rayClusterSpec"]["gcsFaultToleranceOptions"]["redisAddress"] == address


# ---- what the manifests say about raysweep ----


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_versions_are_those_of_the_project(overlay: str):
    project = (ROOT / "pyproject.toml").read_text()
    ray = re.search(r'"ray\[default\]==([\d.]+)"', project)
    own = re.search(r'^version = "([\d.]+)"', project, re.MULTILINE)
    assert ray and own
    assert ray_job(overlay)["rayClusterSpec"]["rayVersion"] == ray[1]
    images = {
        v for _, v in places(documents(overlay)) if isinstance(v, str) and v.startswith("raysweep:")
    }
    assert images == {f"raysweep:{own[1]}"}
    assert tool("reader.yaml")[0]["spec"]["containers"][0]["image"] in images


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_entrypoint_composes_the_users_sweep_from_where_it_is_mounted(overlay: str, tmp_path):
    job = ray_job(overlay)
    python, *arguments = job["entrypoint"].split()
    assert python == "/opt/raysweep/bin/python"
    head = job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    (volume,) = (v["configMap"] for v in head["volumes"] if v["name"] == "sweep")
    (mount,) = (m for m in head["containers"][0]["volumeMounts"] if m["name"] == "sweep")
    config_maps = {
        o["metadata"]["name"]: o["data"] for o in documents(overlay) if o["kind"] == "ConfigMap"
    }
    for item in volume["items"]:
        file = tmp_path / item["path"]
        file.parent.mkdir(parents=True)
        file.write_text(config_maps[volume["name"]][item["key"]])
    mounted = [str(tmp_path) if word == mount["mountPath"] else word for word in arguments]
    out = config_maps["raysweep-run"]["RAYSWEEP_OUT"]
    shown = subprocess.run(
        [sys.executable, *mounted, "--cfg", "job", "--resolve"],
        capture_output=True,
        text=True,
        env={**os.environ, "RAYSWEEP_OUT": out, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    composed = yaml.safe_load(shown.stdout)
    assert composed["out"] == out != ""
    for group in ("model", "benchmark", "weights"):
        names = composed["sweep"][group + ("s" if group != "weights" else "")]
        assert all((ROOT / "conf" / group / f"{name}.yaml").is_file() for name in names)


def test_the_users_sweep_is_a_file_of_its_own():
    data = the(
        "ConfigMap", [o for o in documents("pvc") if o["metadata"]["name"] == "raysweep-sweep"]
    )
    assert data["data"]["sweep.yaml"] == (K8S / "base" / "sweep.yaml").read_text()

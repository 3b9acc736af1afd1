"""Every pod passes every check of `manifest_checks`, or an exception says why it need not."""

from copy import deepcopy
from typing import Any

import pytest
from support.manifest_checks import CHECKS, EXCEPTIONS, Check, Pod, has_no_account_token, pods_of
from support.manifests import OVERLAYS, documents, tool

PODS = [(overlay, pod) for overlay in OVERLAYS for pod in pods_of(documents(overlay))]
PODS += [("tools", pod) for pod in pods_of(tool("reader.yaml"))]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_pod_passes_or_an_exception_says_why_not(check: Check):
    failing = {(origin, pod.name) for origin, pod in PODS if not check(pod)}
    excepted = {name for said, name in EXCEPTIONS if said == check.__name__}
    assert {name for _, name in failing} == excepted, failing


def test_every_exception_is_of_a_check_that_exists():
    assert {said for said, _ in EXCEPTIONS} <= {check.__name__ for check in CHECKS}


def test_only_a_head_that_holds_the_autoscaler_has_an_account_token():
    with_token = {(origin, pod.name) for origin, pod in PODS if not has_no_account_token(pod)}
    assert with_token == {(origin, pod.name) for origin, pod in PODS if pod.autoscaler}


SPOILT = {
    "runs_as_nobody": lambda spec: spec["securityContext"].update(runAsUser=0),
    "has_a_seccomp_profile": lambda spec: spec["securityContext"].pop("seccompProfile"),
    "cannot_become_more": lambda spec: _security(spec).pop("capabilities"),
    "root_is_read_only": lambda spec: _security(spec).update(readOnlyRootFilesystem=False),
    "is_apart_from_its_node": lambda spec: spec.update(hostNetwork=True),
    "has_no_account_token": lambda spec: spec.pop("automountServiceAccountToken"),
    "knows_no_services_by_environment": lambda spec: spec.pop("enableServiceLinks"),
    "says_what_it_needs": lambda spec: spec["containers"][0]["resources"]["limits"].pop("memory"),
    "memory_is_its_own": lambda spec: spec["containers"][0]["resources"]["limits"].update(
        memory="1Ti"
    ),
    "is_asked_whether_it_lives": lambda spec: spec["containers"][0].pop("livenessProbe"),
    "image_is_pinned": lambda spec: spec["containers"][0].update(image="raysweep:latest"),
    "image_is_fetched_once": lambda spec: spec["containers"][0].update(imagePullPolicy="Always"),
    "secrets_are_references": lambda spec: spec["containers"][0]["env"].append(
        {"name": "HF_TOKEN", "value": "written here"}
    ),
    "drains_before_it_is_killed": lambda spec: spec.update(terminationGracePeriodSeconds=60),
    "can_write_where_it_must": lambda spec: spec["containers"][0].update(volumeMounts=[]),
    "temporary_space_is_limited": lambda spec: spec["volumes"].append(
        {"name": "a", "emptyDir": {}}
    ),
    "has_shared_memory": lambda spec: _volume(spec, "shared-mem").update(emptyDir={}),
    "volumes_and_mounts_belong_together": lambda spec: spec["volumes"].pop(),
    "what_it_names_is_there": lambda spec: _volume(spec, "model-cache").update(
        persistentVolumeClaim={"claimName": "another"}
    ),
    "a_policy_says_who_may_come_in": None,  # see below
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_check_can_fail(check: Check):
    pod = next(pod for pod in pods_of(documents("s3")) if pod.name == "h100-80")
    assert check(pod)
    spoil = SPOILT[check.__name__]
    labels = pod.labels if spoil else {}
    spec = deepcopy(pod.spec)
    if spoil:
        spoil(spec)
    assert not check(Pod(pod.name, labels, spec, pod.beside))


def _security(spec: Any) -> Any:
    return spec["containers"][0]["securityContext"]


def _volume(spec: Any, name: str) -> Any:
    return next(volume for volume in spec["volumes"] if volume["name"] == name)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_policies_budgets_and_services_select_pods_that_there_are(overlay: str):
    objects = documents(overlay)
    pods = list(pods_of(objects))
    for obj in objects:
        spec = obj.get("spec", {})
        if obj["kind"] in ("NetworkPolicy", "PodDisruptionBudget", "PodMonitor"):
            wanted = spec.get("podSelector") or spec["selector"]
            assert any(wanted["matchLabels"].items() <= pod.labels.items() for pod in pods), obj
        if obj["kind"] == "Service":
            assert any(spec["selector"].items() <= pod.labels.items() for pod in pods), obj


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_who_may_come_in_is_ray_the_operator_the_submitter_and_prometheus(overlay: str):
    """Which ports are open to whom, over all policies that select a Ray pod."""
    policies = [obj["spec"] for obj in documents(overlay) if obj["kind"] == "NetworkPolicy"]
    head = next(pod for pod in pods_of(documents(overlay)) if pod.name == "head")
    open_to = set()
    for policy in policies:
        if policy["podSelector"]["matchLabels"].items() <= head.labels.items():
            for rule in policy["ingress"]:
                ports = tuple(port["port"] for port in rule.get("ports", ()))
                open_to |= {(_who(peer), ports) for peer in rule["from"]}
    assert open_to == {
        ("ray-node", ()),
        ("monitoring/prometheus", (8080, 44217, 44227)),
        ("kuberay-system/kuberay-operator", (8265,)),
        ("submitter", (8265,)),
    }


def _who(peer: Any) -> str:
    labels = peer["podSelector"]["matchLabels"]
    if "namespaceSelector" not in peer:
        return labels["app.kubernetes.io/component"]
    namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    return f"{namespace}/{labels['app.kubernetes.io/name']}"


@pytest.mark.parametrize("overlay", ["pvc", "s3", "kueue", "gcs-fault-tolerant"])
def test_what_is_monitored_are_ports_that_pods_name(overlay: str):
    (monitor,) = (obj for obj in documents(overlay) if obj["kind"] == "PodMonitor")
    head = next(pod for pod in pods_of(documents(overlay)) if pod.name == "head")
    names = {port["name"] for port in head.containers[0]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= names

"""The volume for models: each pod keeps its checkpoints there, and it holds those of conf/model."""

from pathlib import PurePosixPath
from typing import Any

import pytest
from support.manifest_checks import Pod, pods_of
from support.manifests import OVERLAYS, documents

from raysweep.checkpoints.hub import repository_of
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions, read_weights
from raysweep.configuration.models import read_model
from raysweep.memory import weights_bytes
from raysweep.spec import BF16
from raysweep.system.quantities import GB

CACHES = ("HF_HOME", "RAYSWEEP_CACHE")
DEFINITIONS = Definitions((conf_folder(),))
MODELS = [read_model(DEFINITIONS, name, name) for name in DEFINITIONS.names("model")]
PUBLISHED = [weights_bytes(model, BF16) for model in MODELS if repository_of(model.path)]
WEIGHTS = [read_weights(DEFINITIONS, name, name) for name in DEFINITIONS.names("weights")]
LARGEST_QUANTISED = max(
    weights_bytes(model, weights) for model in MODELS for weights in WEIGHTS if weights != BF16
)


def variables(pod: Pod) -> dict[str, str]:
    return {v["name"]: v["value"] for v in pod.containers[0].get("env", ()) if "value" in v}


def ray_pods(overlay: str) -> list[Pod]:
    pods = list(pods_of(documents(overlay)))
    found = [pod for pod in pods if pod.containers[0]["name"].startswith("ray-")]
    return [pod for pod in found if pod.name != "submitter"]


def volume_of(pod: Pod, path: str) -> Any:
    """The volume on which a path of a pod lies: that of the longest mount above it."""
    mounts = {PurePosixPath(m["mountPath"]): m["name"] for m in pod.containers[0]["volumeMounts"]}
    above = [place for place in PurePosixPath(path).parents if place in mounts]
    return next(v for v in pod.spec["volumes"] if v["name"] == mounts[above[0]])


def storage_bytes(overlay: str, claim: str) -> int:
    (found,) = (
        obj
        for obj in documents(overlay)
        if obj["kind"] == "PersistentVolumeClaim" and obj["metadata"]["name"] == claim
    )
    asked = found["spec"]["resources"]["requests"]["storage"]
    assert asked.endswith("Gi")
    return int(asked.removesuffix("Gi")) * 2**30


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_checkpoints_lie_on_the_volume_of_models_and_not_in_the_pods_temporary_space(overlay: str):
    pods = ray_pods(overlay)
    assert len(pods) >= 2
    for pod in pods:
        for name in CACHES:
            volume = volume_of(pod, variables(pod)[name])
            assert volume["persistentVolumeClaim"]["claimName"] == "raysweep-model-cache", pod.name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_largest_quantised_checkpoint_is_within_the_bound_of_the_cache(overlay: str):
    bounds = {float(variables(pod)["RAYSWEEP_CACHE_GB"]) * GB for pod in ray_pods(overlay)}
    (bound,) = bounds  # one for all pods, which share the cache
    assert bound >= LARGEST_QUANTISED


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_volume_holds_the_largest_model_of_the_hub_beside_a_full_cache(overlay: str):
    (head, *_) = ray_pods(overlay)
    bound = float(variables(head)["RAYSWEEP_CACHE_GB"]) * GB
    assert max(PUBLISHED) + bound <= storage_bytes(overlay, "raysweep-model-cache")


@pytest.mark.parametrize("overlay", sorted(set(OVERLAYS) - {"single-node"}))
def test_a_clusters_volume_holds_all_models_of_the_hub_beside_a_full_cache(overlay: str):
    (head, *_) = ray_pods(overlay)
    bound = float(variables(head)["RAYSWEEP_CACHE_GB"]) * GB
    assert sum(PUBLISHED) + bound <= storage_bytes(overlay, "raysweep-model-cache")


def test_there_are_models_to_hold():
    assert len(PUBLISHED) >= 14 and max(PUBLISHED) > 60 * GB and LARGEST_QUANTISED > 30 * GB


def test_a_fetch_of_the_head_and_of_workers_goes_to_the_same_folder():
    places = {tuple(variables(pod)[name] for name in CACHES) for pod in ray_pods("s3")}
    assert len(places) == 1

"""Worker groups as Ray's own autoscaler reads them: which pod it adds for an engine on some GPUs."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.kuberay import autoscaling_config as kuberay
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated import autoscaler_pb2, common_pb2
from support.manifests import ROOT, documents, the

from raysweep.driver.ray_nodes import TYPE_LABEL
from raysweep.planning.fit import GPU_COUNTS

# A type checker does not see generated classes.
MESSAGES: Any = autoscaler_pb2
COMMON: Any = common_pb2
AUTOSCALED = ["pvc", "s3", "gcs-fault-tolerant", "several-gpus"]


def job_of(overlay: str) -> Any:
    return the("RayJob", documents(overlay))["spec"]


def label_of(gpu: str) -> str:
    """Ray's label of a kind of GPU that conf/gpu knows."""
    return yaml.safe_load((ROOT / f"conf/gpu/{gpu}.yaml").read_text())["accelerator_type"]


def gpu_groups(overlay: str) -> list[Any]:
    groups = job_of(overlay)["rayClusterSpec"]["workerGroupSpecs"]
    return [group for group in groups if group["groupName"] != "driver"]


def gpus_of(group: Any) -> int:
    """The GPUs of a pod, for which it asks in full."""
    resources = group["template"]["spec"]["containers"][0]["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"]
    return resources["limits"]["nvidia.com/gpu"]


def cluster_said(overlay: str) -> dict[str, Any]:
    """The keys of `cluster` in the entrypoint."""
    words = job_of(overlay)["entrypoint"].split()
    said = (word.removeprefix("cluster.").split("=", 1) for word in words if "cluster." in word)
    return {key: yaml.safe_load(value) for key, value in said}


@cache
def autoscaling(overlay: str) -> AutoscalingConfig:
    """The configuration that Ray's autoscaler derives from the cluster, as in the head's pod."""
    cluster = {
        "metadata": {"name": "raysweep", "namespace": "raysweep"},
        "spec": job_of(overlay)["rayClusterSpec"],
    }
    derived = kuberay._derive_autoscaling_config_from_ray_cr(cluster)
    return AutoscalingConfig(derived, skip_content_hash=True)


def launched(overlay: str, needs: Sequence[tuple[str, float]]) -> tuple[dict[str, int], int]:
    """The pods of each group that are added for actors on so many GPUs of a kind, and how many remain.

    The requests are those of `ray_nodes.announce`: one CPU, the GPUs, and the label of their kind.
    """
    requests = [
        ResourceRequestUtil.make({"CPU": 1.0, "GPU": gpus}, label_selectors=[of_kind(kind)])
        for kind, gpus in needs
    ]
    constraint = MESSAGES.ClusterResourceConstraint(
        resource_requests=ResourceRequestUtil.group_by_count(requests)
    )
    config = autoscaling(overlay)
    reply = ResourceDemandScheduler().schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=config.get_node_type_configs(),
            max_num_nodes=config.get_max_num_nodes(),
            cluster_resource_constraints=[constraint],
        )
    )
    found = {launch.instance_type: launch.count for launch in reply.to_launch}
    for always in ("headgroup", "driver"):
        found.pop(always, None)
    return found, len(reply.infeasible_cluster_resource_constraints)


def of_kind(kind: str) -> list[tuple[str, int, list[str]]]:
    return [(TYPE_LABEL, COMMON.LabelSelectorOperator.LABEL_OPERATOR_IN, [label_of(kind)])]


@pytest.mark.parametrize("overlay", AUTOSCALED)
def test_gpus_are_scaled_from_zero_and_back(overlay: str):
    cluster = job_of(overlay)["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert cluster["autoscalerOptions"]["idleTimeoutSeconds"] > 0
    assert {group["minReplicas"] for group in gpu_groups(overlay)} == {0}


@pytest.mark.parametrize("overlay", AUTOSCALED)
def test_the_command_line_says_what_the_groups_are(overlay: str):
    groups, said = gpu_groups(overlay), cluster_said(overlay)
    sizes = [gpus_of(group) for group in groups]
    if not isinstance(said["gpus_per_node"], list):
        said["gpus_per_node"] = [said["gpus_per_node"]] * len(groups)
    assert said == {
        "gpu": [group["groupName"] for group in groups],
        "gpus": [group["maxReplicas"] * gpus_of(group) for group in groups],
        "gpus_per_node": sizes,
    }
    for group in groups:
        assert label_of(group["groupName"]) == group["labels"]["ray.io/accelerator-type"]


def test_a_queue_gets_as_many_gpus_as_the_command_line_says():
    (group,) = gpu_groups("kueue")
    assert cluster_said("kueue") == {
        "gpu": group["groupName"],
        "gpus": group["maxReplicas"] * gpus_of(group),
        "gpus_per_node": gpus_of(group),
    }


def test_there_are_pods_of_one_of_two_and_of_eight_gpus():
    assert sorted(map(gpus_of, gpu_groups("several-gpus"))) == [1, 2, 8]


@pytest.mark.parametrize("overlay", AUTOSCALED)
@pytest.mark.parametrize("gpus", [0.25, *GPU_COUNTS])
def test_an_engine_gets_a_pod_of_the_one_group_of_its_kind_if_that_holds_it(overlay, gpus: float):
    for group in gpu_groups(overlay):
        kind = group["groupName"]
        holds = gpus <= gpus_of(group)
        assert launched(overlay, [(kind, gpus)]) == ({kind: 1} if holds else {}, int(not holds))


def test_engines_share_a_pod_of_several_gpus_and_fill_it():
    assert launched("several-gpus", [("h100-80", 1)] * 6 + [("h100-80", 2)]) == ({"h100-80": 1}, 0)
    assert launched("several-gpus", [("h100-80", 4)] * 3 + [("a100-80", 2)]) == (
        {"h100-80": 2, "a100-80": 1},
        0,
    )


@pytest.mark.parametrize("overlay", AUTOSCALED)
def test_no_more_pods_are_added_than_the_command_line_counts_on(overlay: str):
    for kind, gpus, per_pod in zip(
        *(cluster_said(overlay)[key] for key in ("gpu", "gpus")),
        map(gpus_of, gpu_groups(overlay)),
        strict=True,
    ):
        assert launched(overlay, [(kind, 1)] * gpus) == ({kind: gpus // per_pod}, 0)
        assert launched(overlay, [(kind, 1)] * (gpus + 1))[1] == 1

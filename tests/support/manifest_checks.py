"""What a manifest should be beyond valid: a table of checks, as kube-linter and checkov have them.

A check takes a pod, with the place that it has in the deployment, and says what is wrong. Where a pod must be
otherwise, EXCEPTIONS says why; an exception that nothing needs is itself a fault.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

CODE_PORTS = ("metrics", "as-metrics", "dash-metrics", "dashboard")
SECRET_WORDS = ("TOKEN", "PASSWORD", "SECRET", "KEY")


@dataclass(frozen=True)
class Pod:
    """A pod that a manifest leads to: its name there, its labels, its spec, and the objects around it."""

    name: str
    labels: dict[str, str]
    spec: Any
    beside: tuple[Any, ...]
    autoscaler: bool = False

    @property
    def containers(self) -> list[Any]:
        return self.spec["containers"]


def pods_of(objects: list[Any]) -> Iterator[Pod]:
    """All pods of rendered objects, with the labels that the operator adds."""
    beside = tuple(objects)
    for obj in objects:
        if obj["kind"] == "RayJob":
            yield from _ray_pods(obj["spec"], beside)
        elif obj["kind"] in ("StatefulSet", "Deployment"):
            template = obj["spec"]["template"]
            yield Pod(
                obj["metadata"]["name"], template["metadata"]["labels"], template["spec"], beside
            )
        elif obj["kind"] == "Pod":
            yield Pod(obj["metadata"]["name"], obj["metadata"]["labels"], obj["spec"], beside)


def _ray_pods(job: Any, beside: tuple[Any, ...]) -> Iterator[Pod]:
    cluster = job["rayClusterSpec"]
    template = job["submitterPodTemplate"]
    yield Pod("submitter", template["metadata"]["labels"], template["spec"], beside)
    groups = [("head", "head", cluster["headGroupSpec"])]
    groups += [("worker", group["groupName"], group) for group in cluster["workerGroupSpecs"]]
    for node_type, name, group in groups:
        labels = {**group["template"]["metadata"]["labels"], "ray.io/node-type": node_type}
        autoscaler = name == "head" and cluster["enableInTreeAutoscaling"]
        yield Pod(name, labels, group["template"]["spec"], beside, autoscaler)


def runs_as_nobody(pod: Pod) -> bool:
    security = pod.spec.get("securityContext", {})
    return security.get("runAsNonRoot") is True and security.get("runAsUser", 0) >= 100


def has_a_seccomp_profile(pod: Pod) -> bool:
    return pod.spec.get("securityContext", {}).get("seccompProfile") == {"type": "RuntimeDefault"}


def cannot_become_more(pod: Pod) -> bool:
    securities = [container.get("securityContext", {}) for container in pod.containers]
    return all(
        security.get("allowPrivilegeEscalation") is False
        and security.get("capabilities") == {"drop": ["ALL"]}
        and not security.get("privileged")
        for security in securities
    )


def root_is_read_only(pod: Pod) -> bool:
    securities = [container.get("securityContext", {}) for container in pod.containers]
    return all(security.get("readOnlyRootFilesystem") is True for security in securities)


def is_apart_from_its_node(pod: Pod) -> bool:
    shares = ("hostNetwork", "hostPID", "hostIPC")
    mounts = any("hostPath" in volume for volume in pod.spec.get("volumes", ()))
    ports = any("hostPort" in port for c in pod.containers for port in c.get("ports", ()))
    return not any(pod.spec.get(share) for share in shares) and not mounts and not ports


def has_no_account_token(pod: Pod) -> bool:
    return pod.spec.get("automountServiceAccountToken") is False


def says_what_it_needs(pod: Pod) -> bool:
    """CPU and memory, asked for and limited."""
    found = [container.get("resources", {}) for container in pod.containers]
    return all(
        {"cpu", "memory"} <= r.get(kind, {}).keys()
        for r in found
        for kind in ("requests", "limits")
    )


def memory_is_its_own(pod: Pod) -> bool:
    """What it may take is what it has asked for, so that no neighbour makes it go."""
    found = [container["resources"] for container in pod.containers]
    return all(r["requests"]["memory"] == r["limits"]["memory"] for r in found)


def is_asked_whether_it_lives(pod: Pod) -> bool:
    probes = {"livenessProbe", "readinessProbe"}
    return all(probes <= container.keys() for container in pod.containers)


def image_is_pinned(pod: Pod) -> bool:
    tags = [container["image"].rpartition(":")[2] for container in pod.containers]
    return all(tag != "latest" and "/" not in tag and any(c.isdigit() for c in tag) for tag in tags)


def image_is_fetched_once(pod: Pod) -> bool:
    return all(container.get("imagePullPolicy") == "IfNotPresent" for container in pod.containers)


def secrets_are_references(pod: Pod) -> bool:
    named = [
        variable
        for container in pod.containers
        for variable in container.get("env", ())
        if any(word in variable["name"] for word in SECRET_WORDS)
    ]
    return all("secretKeyRef" in variable.get("valueFrom", {}) for variable in named)


def drains_before_it_is_killed(pod: Pod) -> bool:
    for container in pod.containers:
        command = (
            container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
        )
        if "--grace-period" in command:
            drain = int(command[command.index("--grace-period") + 1])
            return pod.spec["terminationGracePeriodSeconds"] >= drain + 30
    return False


def can_write_where_it_must(pod: Pod) -> bool:
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", ())}
    mounts = {mount["mountPath"]: mount["name"] for mount in pod.containers[0]["volumeMounts"]}
    return "emptyDir" in volumes.get(mounts.get("/tmp"), {})


def temporary_space_is_limited(pod: Pod) -> bool:
    empty = [v["emptyDir"] for v in pod.spec.get("volumes", ()) if "emptyDir" in v]
    return all("sizeLimit" in directory for directory in empty)


def has_shared_memory(pod: Pod) -> bool:
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", ())}
    mounts = {mount["mountPath"]: mount["name"] for mount in pod.containers[0]["volumeMounts"]}
    return volumes.get(mounts.get("/dev/shm"), {}).get("emptyDir", {}).get("medium") == "Memory"


def volumes_and_mounts_belong_together(pod: Pod) -> bool:
    claimed = [o for o in pod.beside if o["kind"] == "StatefulSet"]
    templates = [
        t["metadata"]["name"] for o in claimed for t in o["spec"].get("volumeClaimTemplates", ())
    ]
    volumes = {volume["name"] for volume in pod.spec.get("volumes", ())}
    mounts = {mount["name"] for c in pod.containers for mount in c.get("volumeMounts", ())}
    return mounts - volumes <= set(templates) and volumes <= mounts


def what_it_names_is_there(pod: Pod) -> bool:
    """ConfigMaps and claims are among the objects; Secrets are the user's, and so optional or documented."""
    there = {(obj["kind"], obj["metadata"]["name"]) for obj in pod.beside}
    named = set()
    for volume in pod.spec.get("volumes", ()):
        if "configMap" in volume:
            named.add(("ConfigMap", volume["configMap"]["name"]))
        if "persistentVolumeClaim" in volume:
            named.add(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
    for container in pod.containers:
        for source in container.get("envFrom", ()):
            if "configMapRef" in source:
                named.add(("ConfigMap", source["configMapRef"]["name"]))
    return named <= there


def a_policy_says_who_may_come_in(pod: Pod) -> bool:
    policies = [obj["spec"] for obj in pod.beside if obj["kind"] == "NetworkPolicy"]
    return any(
        policy["podSelector"]["matchLabels"].items() <= pod.labels.items()
        and "Ingress" in policy["policyTypes"]
        for policy in policies
    )


def knows_no_services_by_environment(pod: Pod) -> bool:
    return pod.spec.get("enableServiceLinks") is False


Check = Callable[[Pod], bool]

CHECKS: tuple[Check, ...] = (
    runs_as_nobody,
    has_a_seccomp_profile,
    cannot_become_more,
    root_is_read_only,
    is_apart_from_its_node,
    has_no_account_token,
    knows_no_services_by_environment,
    says_what_it_needs,
    memory_is_its_own,
    is_asked_whether_it_lives,
    image_is_pinned,
    image_is_fetched_once,
    secrets_are_references,
    drains_before_it_is_killed,
    can_write_where_it_must,
    temporary_space_is_limited,
    has_shared_memory,
    volumes_and_mounts_belong_together,
    what_it_names_is_there,
    a_policy_says_who_may_come_in,
)

ONE_SHOT = "it does one thing and ends; its exit status says how it went"
SMALL = "it lives for minutes and holds nothing: to be ended at once is no loss"
EXCEPTIONS = {
    ("has_no_account_token", "head"): (
        "the autoscaler runs in the head's pod, and asks Kubernetes for pods; a head without it has no token"
    ),
    ("is_asked_whether_it_lives", "submitter"): ONE_SHOT,
    ("is_asked_whether_it_lives", "raysweep-reader"): ONE_SHOT,
    ("drains_before_it_is_killed", "submitter"): SMALL,
    ("drains_before_it_is_killed", "raysweep-reader"): SMALL,
    (
        "drains_before_it_is_killed",
        "raysweep-redis",
    ): "Redis ends well on SIGTERM, within the default 30 s",
    ("has_shared_memory", "submitter"): "it is a client, and has no object store",
    ("has_shared_memory", "raysweep-reader"): "it runs no Ray",
    ("has_shared_memory", "raysweep-redis"): "it runs no Ray",
    ("can_write_where_it_must", "raysweep-reader"): "it only reads",
    ("can_write_where_it_must", "raysweep-redis"): "it writes to its own volume alone",
    ("memory_is_its_own", "submitter"): "a client that seldom needs what it may take",
    ("memory_is_its_own", "raysweep-reader"): "a shell that seldom needs what it may take",
    ("memory_is_its_own", "raysweep-redis"): "tables that grow with the cluster; it may take more",
    ("what_it_names_is_there", "raysweep-reader"): "its claim is an overlay's (pvc, single-node)",
    ("a_policy_says_who_may_come_in", "raysweep-reader"): "it listens on no port",
}

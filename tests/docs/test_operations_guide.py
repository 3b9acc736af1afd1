"""The operations guide against what it speaks of: files, overlays, names in the cluster, metrics."""

import re
import subprocess

import pytest
import yaml
from support.manifests import K8S, OVERLAYS, ROOT, documents, kustomize, places, the

from raysweep.monitoring.metric_names import ENGINE, METRICS
from raysweep.system.exit_status import BAD_INPUT, INTERRUPTED, WORK_REMAINS

GUIDE = (ROOT / "docs" / "operations.md").read_text()
PROSE = " ".join(GUIDE.split())
BLOCKS = re.findall(r"```sh(?: [^\n]*)?\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]


def test_every_path_that_it_names_is_there():
    named = set(re.findall(r"(?:deploy|conf|requirements|docs)/[\w./-]*\w", GUIDE))
    assert len(named) >= 10
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_there_is_a_section_for_each_place_where_raysweep_runs():
    places = ["One GPU at home", "One node of eight GPUs", "A cluster", "Slurm", "Kubernetes"]
    headings = re.findall(r"^## (.*)$", GUIDE, re.MULTILINE)
    assert [heading for heading in headings if heading in places] == places
    told = re.findall(r"^\| .* \| \[(.+)\]\(#", GUIDE, re.MULTILINE)
    assert told[: len(places)] == places


@pytest.mark.parametrize("heading", ["One GPU at home", "One node of eight GPUs", "A cluster"])
def test_a_section_plans_before_it_runs_and_its_plan_is_run_by_the_tests(heading: str):
    section = GUIDE.split(f"## {heading}\n")[1].split("\n## ")[0]
    first = re.findall(r"^```sh([^\n]*)\n(.*?)```", section, re.DOTALL | re.MULTILINE)
    runnable = [block for info, block in first if "no-run" not in info]
    assert runnable and all("'stages=[plan]'" in block for block in runnable)


def test_the_oldest_driver_is_that_of_the_cuda_that_is_locked():
    """CUDA 13 wants 580 or newer, by NVIDIA's table of CUDA versions and drivers."""
    lock = (ROOT / "requirements" / "vllm-cuda.txt").read_text()
    assert re.search(r"^nvidia-cuda-runtime==13\.", lock, re.MULTILINE)
    assert "An NVIDIA driver of 580 or newer" in PROSE and "CUDA 13" in PROSE


def test_no_secret_is_a_word_of_a_raysweep_command():
    """Tokens travel as environment variables and Secrets: a command line is seen by all users."""
    for command in COMMANDS:
        _, _, arguments = command.partition("-m raysweep ")
        assert not re.search(r"(?i)token=|key=|password=", arguments), command


def test_every_overlay_has_its_line():
    assert (
        sorted(re.findall(r"^\| `deploy/k8s/overlays/([\w-]+)`", GUIDE, re.MULTILINE)) == OVERLAYS
    )


def test_the_table_of_metrics_is_the_codes():
    rows = re.findall(
        r"^\| `(ray_raysweep_\w+)` \| (.+?) \| (.+?) \| (.*?) \|$", GUIDE, re.MULTILINE
    )
    assert rows == [(m.exported, m.unit, m.description, shown_labels(m.labels)) for m in METRICS]


def shown_labels(labels: tuple[str, ...]) -> str:
    others = labels[len(ENGINE) :] if labels[: len(ENGINE)] == ENGINE else labels
    return ", ".join(
        (["*engine*"] if others != labels else []) + [f"`{label}`" for label in others]
    )


def test_its_table_of_exit_statuses_is_the_command_lines():
    statuses = re.findall(r"^\| (\d+) \| ", GUIDE, re.MULTILINE)
    assert statuses == [str(status) for status in (0, BAD_INPUT, WORK_REMAINS, INTERRUPTED)]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_command_is_one_that_a_shell_reads(block: str):
    said = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")


def test_the_overlay_that_it_tells_to_write_says_where_to_and_which_image(tmp_path):
    (text,) = re.findall(r"<<'EOF'\n(.*?)EOF", GUIDE, re.DOTALL)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kustomization.yaml").write_text(text)
    objects = list(yaml.safe_load_all(kustomize(tmp_path / "mine")))
    images = {value for path, value in places(objects) if path and path[-1] == "image"}
    assert images == {"registry.example.com/raysweep:0.1.0"}
    (run,) = (o for o in objects if o["metadata"]["name"] == "raysweep-run")
    assert run["data"] == {"RAYSWEEP_OUT": "s3://your-bucket/raysweep"}


def test_names_in_commands_are_those_of_the_manifests():
    objects = [obj for overlay in OVERLAYS for obj in documents(overlay)]
    values = {value for _, value in places(objects) if isinstance(value, str)}
    words = [command.split() for command in COMMANDS]
    secrets = {said[said.index("generic") + 1] for said in words if "generic" in said}
    assert secrets == {"raysweep-hub", "raysweep-store"} <= values
    assert "raysweep-redis" in values
    job = the("RayJob", documents("s3"))
    assert f"svc/{job['metadata']['name']}-head-svc" in GUIDE  # as the operator names it
    for component in re.findall(r"app.kubernetes.io/component=([\w-]+)", GUIDE):
        assert component in values
    namespaces = {obj["metadata"].get("namespace") for obj in objects}
    assert namespaces == {"raysweep"}
    in_namespace = [said for said in words if said[:2] == ["kubectl", "-n"]]
    assert {said[2] for said in in_namespace} == {"raysweep"}


def test_what_it_says_of_the_job_is_so():
    job = the("RayJob", documents("s3"))["spec"]
    head = job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert "ten minutes later" in PROSE and job["ttlSecondsAfterFinished"] == 600
    assert "three times (`backoffLimit`)" in PROSE and job["backoffLimit"] == 3
    idle = job["rayClusterSpec"]["autoscalerOptions"]["idleTimeoutSeconds"]
    assert "after five idle minutes" in PROSE and idle == 300
    assert "two CPUs and 16 GiB" in PROSE
    assert head["resources"]["requests"] == {"cpu": "2", "memory": "16Gi"}
    entrypoint = [line for line in COMMANDS if line.startswith("/opt/raysweep")]
    assert [job["entrypoint"].startswith(line) for line in entrypoint] == [True]


def test_every_path_in_the_manifests_comments_is_there():
    said = "".join(path.read_text() for path in K8S.rglob("*.yaml"))
    for path in re.findall(r"#.*?((?:docs|conf|deploy)/[\w./-]*\w)", said):
        assert (ROOT / path).exists(), path

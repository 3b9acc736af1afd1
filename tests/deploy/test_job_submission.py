"""`python -m raysweep cluster=existing` as a submitted job, on a Ray with a dashboard that asks for a token.

It runs to its end, or is stopped by SIGTERM on the way, and then the same submission goes on. Meanwhile
Ray's own tables are looked at: a person finds engines and shards there by their names.
"""

import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests
from ray.job_submission import JobStatus, JobSubmissionClient
from support.manifests import OVERLAYS, documents, faults, the
from support.parts import written

from raysweep.system.exit_status import BAD_INPUT, DONE, WORK_REMAINS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENGINE = "tiny-60k.bf16.full"
GRID = (
    "+sweep=smoke sweep.models=[tiny-60k] sweep.weights=[bf16] sweep.kv_policies=[full] run=R "
    "'sweep.benchmarks=[{name: chain, count: 12}]' generation.shard_questions=1 generation.shard_samples=1 "
    "generation.max_rows=1 generation.grace_s=10"
)
RAY = (sys.executable, "-m", "ray.scripts.scripts")
WAIT_S = 180


@dataclass(frozen=True)
class Submitting:
    """A dashboard, and what submits to it; `secret` is its token."""

    url: str
    secret: str
    environment: dict[str, str]

    @property
    def client(self) -> JobSubmissionClient:
        return JobSubmissionClient(self.url, headers={"Authorization": f"Bearer {self.secret}"})

    def submit(self, entrypoint: Sequence[str], **metadata: str) -> str:
        """By the command of docs/operations.md; the submission's id."""
        runs_in = {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "40", "PYTHONPATH": str(ROOT)}}
        said = subprocess.run(
            [
                *(*RAY, "job", "submit", "--no-wait", "--address", self.url),
                *("--metadata-json", json.dumps(metadata)),
                *("--runtime-env-json", json.dumps(runs_in)),
                *("--", *entrypoint),
            ],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )
        assert said.returncode == 0, said.stdout + said.stderr
        found = re.search(r"raysubmit_\w+", said.stdout)
        assert found, said.stdout
        return found[0]

    def answers(self) -> bool:
        """Whether the dashboard takes submissions already."""
        try:
            return self.client.list_jobs() == []
        except (ConnectionError, RuntimeError):  # as the client says that nothing is there
            return False

    def ended(self, job: str) -> JobStatus:
        until(lambda: self.client.get_job_status(job).is_terminal())
        return self.client.get_job_status(job)

    def submit_as_operator(self, job: str, entrypoint: str) -> subprocess.CompletedProcess:
        """By the shell command that KubeRay gives the submitter's container (`BuildJobSubmitCommand`)."""
        ray, at = shlex.join(RAY), f"--address {self.url}"
        command = (
            f"if ! {ray} job status {at} {job} >/dev/null 2>&1 ; then "
            f"{ray} job submit {at} --no-wait --submission-id {job} -- {entrypoint} ; fi ; "
            f"{ray} job logs {at} --follow {job}"
        )
        return subprocess.run(
            ["bash", "-c", command],
            env={**self.environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )

    def ask(self, path: str) -> list[dict[str, Any]]:
        """Rows of Ray's tables, as its dashboard gets them."""
        answer = requests.get(
            f"{self.url}/api/v0/{path}", headers={"Authorization": f"Bearer {self.secret}"}
        )
        answer.raise_for_status()
        return answer.json()["data"]["result"]["result"]


def until(happens: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Submitting]:
    """A Ray that `ray start` has started: this process, which other tests share, takes no part in it."""
    secret, gcs, dashboard = secrets.token_hex(32), free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if name[:4] != "RAY_"}
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secret, "RAY_USAGE_STATS_ENABLED": "0"}
    short = tempfile.mkdtemp(prefix="rs")  # Ray puts sockets there, whose paths may not be long
    options = {
        "port": gcs,
        "node-ip-address": "127.0.0.1",
        "dashboard-host": "127.0.0.1",
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": 0,
        "ray-client-server-port": free_port(),
        "num-cpus": 2,
        "object-store-memory": 100_000_000,
        "temp-dir": short,
    }
    command = [*RAY, "start", "--head", "--block", "--include-dashboard=true"]
    given = [f"--{name}={value}" for name, value in options.items()]
    head = subprocess.Popen(
        [*command, *given],
        env={**environment, **token},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    there = Submitting(f"http://127.0.0.1:{dashboard}", secret, {**environment, **token})
    try:
        until(lambda: head.poll() is None and there.answers())
        yield there
    finally:
        head.terminate()
        head.wait(timeout=WAIT_S)
        shutil.rmtree(short, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_submission_without_the_token_is_refused(cluster):
    body = {"entrypoint": "true"}
    without = requests.post(f"{cluster.url}/api/jobs/", json=body)
    wrong = {"Authorization": f"Bearer {'0' * 64}"}
    with_another = requests.post(f"{cluster.url}/api/jobs/", json=body, headers=wrong)
    assert (without.status_code, with_another.status_code) == (401, 403)
    assert cluster.client.list_jobs() == []


def sweep(cluster: Submitting, out: Path) -> str:
    """A submitted sweep of 48 shards of a sample each."""
    command = [
        sys.executable,
        "-m",
        "raysweep",
        "cluster=existing",
        "cluster.actors=1",
        f"out={out}",
    ]
    report = f"{out}/R/report/index.html"
    return cluster.submit([*command, *shlex.split(GRID)], run="R", sweep="smoke", report=report)


def test_a_submitted_run_is_stopped_by_sigterm_and_the_same_submission_ends_it(cluster, tmp_path):
    job = sweep(cluster, tmp_path)
    until(lambda: len(written(tmp_path)) >= 3)
    cluster.client.stop_job(job)
    assert cluster.ended(job) == JobStatus.STOPPED
    assert (
        "raysweep: interrupted; repeat the same command to continue"
        in cluster.client.get_job_logs(job)
    )
    assert not (tmp_path / "R" / "report").exists()
    before = written(tmp_path)
    assert 3 <= len(before) < 48

    seen: dict[str, set[str]] = {"actors": set(), "tasks": set()}
    again = sweep(cluster, tmp_path)
    deadline = time.monotonic() + WAIT_S
    while not cluster.client.get_job_status(again).is_terminal() and time.monotonic() < deadline:
        seen["actors"] |= {row["name"] for row in cluster.ask("actors")}
        seen["tasks"] |= {row["name"] for row in cluster.ask("tasks?detail=1&limit=1000")}
        time.sleep(0.5)
    assert cluster.ended(again) == JobStatus.SUCCEEDED, cluster.client.get_job_logs(again)
    assert (tmp_path / "R" / "report" / "index.html").exists()

    after = written(tmp_path)
    assert before.items() <= after.items()
    files = tmp_path.rglob("samples/*/*.parquet")
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    named = {(row["question_id"], row["sample_index"]) for row in rows}
    assert len(after) == len(rows) == len(named) == 48
    assert any(re.fullmatch(rf"{re.escape(ENGINE)}#\d+-\w{{6}}", name) for name in seen["actors"])
    assert f"{ENGINE} chain" in seen["tasks"]
    told = cluster.client.get_job_info(again).metadata
    assert told == {"run": "R", "sweep": "smoke", "report": f"{tmp_path}/R/report/index.html"}


def test_the_operator_repeats_what_ends_with_another_status_than_0(cluster, tmp_path):
    """KubeRay repeats a job that is FAILED, `backoffLimit` times, whatever its status was."""
    command = f"{sys.executable} -m raysweep +sweep=smoke out={tmp_path}"

    def ended(job: str) -> tuple[JobStatus, int]:
        return cluster.ended(job), cluster.client.get_job_info(job).driver_exit_code or DONE

    def submit(arguments: str) -> str:
        runs_in = {"env_vars": {"PYTHONPATH": str(ROOT)}}
        return cluster.client.submit_job(entrypoint=f"{command} {arguments}", runtime_env=runs_in)

    planned, refused = submit("stages=[plan]"), submit("stages=[plan] +sweep.sample=1")
    incomplete = submit("stages=[plan,reduce] run=incomplete")
    assert ended(incomplete) == (JobStatus.FAILED, WORK_REMAINS)
    assert ended(planned) == (JobStatus.SUCCEEDED, DONE)
    assert ended(refused) == (JobStatus.FAILED, BAD_INPUT)
    assert "raysweep: " in cluster.client.get_job_logs(refused)


def test_a_pod_that_submits_ends_well_after_its_job_and_does_not_submit_it_again(cluster, tmp_path):
    """It only follows the log, and its Kubernetes Job is done, whatever became of the job."""
    refused = f"{sys.executable} -m raysweep +sweep=smoke out={tmp_path} +sweep.sample=1"
    for _ in range(2):
        submitter = cluster.submit_as_operator("refused", refused)
        assert submitter.returncode == 0, submitter.stdout + submitter.stderr
        assert "raysweep: " in submitter.stdout
    assert cluster.ended("refused") == JobStatus.FAILED
    jobs = [info.submission_id for info in cluster.client.list_jobs()]
    assert jobs.count("refused") == 1


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_job_with_work_left_is_repeated_three_times_on_clusters_of_its_own(overlay: str):
    job = the("RayJob", documents(overlay))
    assert faults(job) == []
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["submissionMode"]) == (3, "K8sJobMode")
    # The operator refuses retries with these, and does not repeat an attempt past its deadline.
    assert not {"clusterSelector", "suspend"} & spec.keys() or overlay == "kueue"
    assert spec["activeDeadlineSeconds"] >= 24 * 3600
    # Retries of the pod that submits are not retries of the sweep.
    assert spec["submitterConfig"] == {"backoffLimit": 5}
    assert spec["submitterPodTemplate"]["spec"]["restartPolicy"] == "Never"


def test_retries_that_are_no_number_are_refused_by_the_operators_schema():
    job = the("RayJob", documents("s3"))
    for wrong in ("three", 2.5, None):
        job["spec"]["backoffLimit"] = wrong
        assert faults(job), wrong

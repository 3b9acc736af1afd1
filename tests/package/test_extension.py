"""A user's project adds a KV policy, a benchmark, a grader and a model family without changing raysweep.

The project is `tests/extension`: definitions in `conf/`, three modules of one idea each in `my_study/`.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.configurations import read_benchmark, write_models

import raysweep
from raysweep.errors import ConfigError
from raysweep.grading import tag
from raysweep.spec import Benchmark, Question

ROOT = Path(__file__).parents[2]
GRADER = "my_study/last_digit.py"


class Project:
    """A copy of the project in its own folder, outside of raysweep's."""

    def __init__(self, folder: Path):
        self.folder = folder
        shutil.copytree(Path(__file__).parent / "extension", folder)
        shutil.copytree(ROOT / "models/tiny-60k", folder / "models/tiny-60k")

    def raysweep(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "raysweep", "--config-dir", "conf", "+sweep=mine"]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
        said = subprocess.run(
            [*command, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        print(said.stdout, said.stderr)
        return said

    def answers(self) -> list[str]:
        run = raysweep.open_run(f"{self.folder}/runs/mine")
        return [
            answer["answer"]
            for engine in run.engines.engine_id
            for answers in run.samples(engine, ["answers"]).answers
            for answer in answers
            if answer["answer"]
        ]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("users") / "project")
    assert project.raysweep("cluster.actors=1").returncode == 0
    return project


@pytest.mark.slow
def test_a_sweep_with_all_four_runs_to_the_report(project: Project):
    run = raysweep.open_run(f"{project.folder}/runs/mine")
    assert set(run.scenarios.family) == {"cool"}
    assert set(run.scenarios.kv_policy) == {"full", "largest_keys-24-b8"}
    assert set(run.scenarios.benchmark) == {"running-sums"}
    assert len(run.scenarios) == 2 * 2 * 2
    assert run.configuration["configuration"]["sweep"]["models"][0]["family"]["name"] == "cool"
    assert (project.folder / "runs/mine/report/index.html").is_file()
    assert run.summary["graders"] == {"running-sums": "my_study.last_digit.GRADER-1"}


@pytest.mark.slow
def test_the_own_policy_holds_what_it_says(project: Project):
    run = raysweep.open_run(f"{project.folder}/runs/mine")
    longest = run.scenarios.query("token_budget == 48 and group_size == 1").set_index("kv_policy")
    assert longest.kv_bytes["largest_keys-24-b8"] < longest.kv_bytes["full"]


@pytest.mark.slow
def test_an_own_grader_of_a_new_version_regrades_and_is_not_mixed_with_the_old(project: Project):
    assert {len(answer) for answer in project.answers()} == {1}
    grader = project.folder / GRADER
    grader.write_text(
        grader.read_text()
        .replace("version=1", "version=2")
        .replace("return digits[-1]", "return ''.join(digits[-2:])")
    )
    refused = project.raysweep("stages=[reduce]")
    assert refused.returncode == 2
    assert "graded by my_study.last_digit.GRADER-2" in refused.stderr
    regraded = project.raysweep("stages=[regrade,reduce]")
    assert regraded.returncode == 0
    assert 2 in {len(answer) for answer in project.answers()}


def takes_anything(**keys: Any) -> list[Question]:
    return [Question("one", "1 + 1 = ?", "2")]


def takes_a_grader(grader: str) -> list[Question]:
    return takes_anything()


def twice() -> list[Question]:
    return [*takes_anything(), *takes_anything()]


def texts() -> list[str]:
    return ["1 + 1 = ?"]


def reads_a_lost_file() -> list[Question]:
    return [Question("one", Path("/nowhere/questions").read_text(), "2")]


def of_types(level: int, share: float, hard: bool, word: str) -> list[Question]:
    return [Question("one", f"{level!r} {share!r} {hard!r} {word!r}", "2")]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write_models(tmp_path, "small")


def read(mine: Path, loader: str, **keys: Any) -> Benchmark:
    usual = {"grader": "my_study.last_digit.GRADER", "answer_opener": "is", "answer_tokens": 4}
    return read_benchmark(mine, **{"name": "own", "loader": loader, **usual, **keys})


def test_a_loaders_own_parameters_are_read_by_their_types(mine: Path):
    keys = {"level": -1, "share": 0.5, "hard": True, "word": "x"}
    benchmark = read(mine, f"{__name__}.of_types", **keys)
    assert benchmark.questions[0].prompt == "-1 0.5 True 'x'"
    assert tag(benchmark.grader) == "my_study.last_digit.GRADER-1"
    with pytest.raises(ConfigError, match=r"benchmarks\[0\]\.level: 'x' is not a whole number"):
        read(mine, f"{__name__}.of_types", **{**keys, "level": "x"})


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        ("my_study.lost.questions", "'my_study.lost.questions' cannot be imported .*correct"),
        ("my_study.__name__", "is not a function; correct the import path"),
        (f"{__name__}.takes_anything", r"has a parameter \*\*keys: Any that no key can set"),
        (f"{__name__}.takes_a_grader", "has a parameter grader: str that no key can set"),
        (f"{__name__}.twice", "yields 'one' twice"),
        (f"{__name__}.texts", r"yields '1 \+ 1 = \?', which is not a raysweep.spec.Question"),
        (f"{__name__}.reads_a_lost_file", "fails .*No such file"),
    ],
)
def test_a_loader_that_cannot_be_used_is_refused_in_one_line(mine: Path, loader: str, message: str):
    with pytest.raises(ConfigError, match=rf"^sweep\.benchmarks\[0\]\.loader: .*{message}"):
        read(mine, loader)


@pytest.mark.parametrize(
    ("grader", "message"),
    [
        ("my_study.last_digit.LOST", "cannot be imported .*correct the import path"),
        ("my_study.last_digit.last_digit", "is not a raysweep.grading.Grader"),
        ("intger", "is not a known grader; did you mean 'integer'"),
    ],
)
def test_a_grader_that_cannot_be_used_is_refused_in_one_line(mine: Path, grader: str, message: str):
    with pytest.raises(ConfigError, match=rf"^sweep\.benchmarks\[0\]\.grader: .*{message}"):
        read(mine, f"{__name__}.twice", grader=grader)

"""The command line as its user meets it: what it prints, and its exit statuses."""

import logging
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from support.configurations import write_models

from raysweep.__main__ import main
from raysweep.errors import ConfigError, StorageError
from raysweep.run_config import RunConfig
from raysweep.system.sigterm import Terminated

ROOT = Path(__file__).parents[2]


class Command:
    """Calls `main` as a shell would, with stages that only record their arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        self.monkeypatch, self.capsys = monkeypatch, capsys
        self.runs: list[tuple[RunConfig, dict[str, Any]]] = []
        self.outcome: int | BaseException = 0
        stages = types.ModuleType("raysweep.stages")
        stages.run_stages = self.run_stages  # pyright: ignore[reportAttributeAccessIssue]
        monkeypatch.setitem(sys.modules, "raysweep.stages", stages)

    def run_stages(
        self, config: RunConfig, document: dict[str, Any], definitions: tuple[Path, ...]
    ) -> int:
        self.runs.append((config, document))
        self.definitions = definitions
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        self.monkeypatch.setattr(sys, "argv", ["raysweep", *arguments])
        try:
            status = main()
        except SystemExit as end:  # Hydra ends like this after --help.
            status = int(end.code or 0)
        output, errors = self.capsys.readouterr()
        return status, output, errors


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """The command in a working folder that holds only the user's own definitions in mine/."""
    write_models(tmp_path, "small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(
        logging.getLogger(), "handlers", []
    )  # Hydra's handlers last for one test only.
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    return Command(monkeypatch, capsys)


MINE = ("--config-dir", "mine", "sweep.models=[small]")


def test_the_stages_get_the_validated_configuration_and_its_document(command: Command):
    status, _, errors = command(*MINE, "seed=3", "sweep.samples=20")
    (config, document), *others = command.runs
    assert (status, errors, others) == (0, "", [])
    assert (config.seed, config.sweep.samples, config.run) == (3, 20, "embedded")
    assert config.sweep.models[0].name == "small"
    assert document["identity"]["seed"] == 3


def test_a_named_sweep_replaces_the_embedded_one(command: Command):
    assert command(*MINE, "+sweep=smoke")[0] == 0
    assert command.runs[0][0].run == "smoke"
    assert len(command.runs[0][0].sweep.benchmarks[0].questions) == 12


@pytest.mark.parametrize(
    "arguments",
    [
        ["run=x", "--config-dir", "mine", "sweep.models=[small]", "+sweep=smoke"],
        ["run=x", "-cd", "mine", "+sweep=smoke", "sweep.models=[small]"],
        ["--config-dir=mine", "+sweep=smoke", "sweep.models=[small]", "run=x"],
    ],
)
def test_flags_and_overrides_may_come_in_any_order(command: Command, arguments: list[str]):
    assert command(*arguments)[::2] == (0, "")
    config = command.runs[0][0]
    assert (config.run, config.sweep.samples, config.sweep.models[0].name) == ("x", 4, "small")


def test_a_list_in_quotes_may_run_over_several_lines(command: Command):
    several = "sweep.benchmarks=[{name: chain,\n    count: 4},\n  facts]"
    assert command(*MINE, several)[0] == 0
    (config, _) = command.runs[0]
    assert [len(benchmark.questions) for benchmark in config.sweep.benchmarks] == [4, 48]


def test_nothing_is_written_into_the_working_folder(command: Command, tmp_path: Path):
    before = sorted(tmp_path.rglob("*"))
    command(*MINE)
    command(*MINE, "seed=x")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sede=1"], "'sede' is not a known key; did you mean 'seed'?"),
        (["+sede=1"], "'sede' is not a known key; did you mean 'seed'?"),
        (["samples=3"], "samples: is not a known key; did you mean 'sweep.samples'?"),
        (["sweep.sample=3"], "sweep: 'sample' is not a known key; did you mean 'samples'?"),
        (["sweep.samples.x=3"], "sweep.samples.x: 'samples' has no keys below it"),
        (["model=small"], "model: is not a key; choose with sweep.models=[...]"),
        (["sweep=smoke"], "sweep: cannot be set as a key; choose with +sweep=NAME"),
        (["+sweep=smok"], "sweep: 'smok' is not a known sweep; did you mean 'smoke'?"),
        (["cluster=gke"], "cluster: 'gke' is not a known cluster; known: existing, kuberay, local"),
        (["seed"], "'seed' is not key=value; quote a list"),
        (["sweep.models=["], "'sweep.models=[' is not key=value"),
        (["sweep.models.x=1"], "configuration: invalid literal"),
        (["seed=???"], "seed: Missing mandatory value"),
        (["seed=${nothing}"], "seed: Interpolation key 'nothing' not found"),
        (["seed=zero"], "seed: 'zero' is not a whole number"),
        (["~seed"], "seed: missing"),
        (["sweep.models=[qwen3-9b]"], "'qwen3-9b' is not a known model; did you mean 'qwen3-8b'?"),
        (["--config-dir", "nowhere"], "nowhere' not found"),
        (["--config-name", "other"], "Cannot find primary config 'other'"),
        (["--sweep", "smoke"], "command line: unrecognized arguments: --sweep; write key=value"),
        (["--config-dir"], "command line: argument --config-dir/-cd: expected one argument"),
        (["--cfg", "jobs"], "argument --cfg/-c: invalid choice: 'jobs'"),
        (
            ["seed=1", "-m"],
            "--multirun: is not needed, because raysweep sweeps by itself; give lists",
        ),
        (
            ["--multirun"],
            "--multirun: is not needed, because raysweep sweeps by itself; give lists",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(command: Command, arguments: list[str], words: str):
    status, _, errors = command(*arguments)
    assert status == 2
    assert errors.startswith("raysweep: ")
    assert words in errors
    assert len(errors.splitlines()) == 1
    assert command.runs == []


def test_bad_input_that_a_stage_finds_is_status_2_too(command: Command):
    command.outcome = ConfigError("seed: 1 differs")
    assert command(*MINE)[::2] == (2, "raysweep: seed: 1 differs\n")


def test_the_exit_status_is_that_of_the_stages(command: Command):
    command.outcome = 3
    assert command(*MINE)[0] == 3


def test_storage_that_goes_on_failing_is_status_3_and_one_line(command: Command):
    command.outcome = StorageError("storage: config.yaml failed for 300 s")
    said = "raysweep: storage: config.yaml failed for 300 s\n"
    assert command(*MINE)[::2] == (3, said)


def test_the_configuration_is_printed_without_secrets(command: Command):
    for flag in (["--cfg", "job"], ["--help"], ["--info", "config"]):
        status, output, errors = command("out=s3://AKIA:sesame@bucket/runs", "run=x", *flag)
        assert status == 0 and "sesame" not in output + errors
    assert "***" in command("out=s3://AKIA:sesame@bucket/runs", "--cfg", "job")[1]


@pytest.mark.parametrize(("interruption", "status"), [(KeyboardInterrupt, 130), (Terminated, 3)])
def test_an_interrupted_run_says_that_the_same_command_goes_on(
    command: Command, interruption: type[BaseException], status: int
):
    command.outcome = interruption()
    said = "raysweep: interrupted; repeat the same command to continue\n"
    assert command(*MINE)[::2] == (status, said)


def test_a_fault_of_a_stage_keeps_its_traceback(command: Command):
    command.outcome = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        command(*MINE)


@pytest.mark.parametrize("flag", ["--help", "--info", "--hydra-help"])
def test_asking_for_information_runs_nothing(command: Command, flag: str):
    status, output, errors = command(flag)
    assert (status, errors, command.runs) == (0, "", [])
    assert len(output) > 200


def test_help_tells_the_stages_the_definitions_and_the_exit_statuses(command: Command):
    output = command("--help")[1]
    for word in (
        "plan",
        "generate",
        "+sweep=smoke",
        "benchmark: aime24, aime25, arithmetic, chain",
        "token_budgets",
    ):
        assert word in output
    assert "2 bad input" in output
    assert "130 interrupted by Ctrl-C" in output and "after SIGTERM" in output


@pytest.mark.parametrize(
    ("typed", "completions"),
    [("+sweep=sm", "+sweep=smoke"), ("sweep.forc", "sweep.forcing=")],
)
def test_the_shell_completes_keys_and_names(
    command: Command, monkeypatch: pytest.MonkeyPatch, typed: str, completions: str
):
    monkeypatch.setenv("COMP_LINE", f"raysweep {typed}")
    status, said, _ = command("-sc", "query=bash")
    assert status == 0
    assert " ".join(said.split()) == completions


def test_help_may_be_read_by_a_program_that_stops_early(tmp_path: Path):
    pipeline = f"set -o pipefail; {sys.executable} -m raysweep --help | true"
    shell = ["bash", "-c", pipeline]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    ended = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 141
    assert ended.stderr == ""


def test_cfg_job_prints_the_configuration(command: Command):
    assert "run: smoke" in command("--cfg", "job", "+sweep=smoke")[1]
    assert "run: smoke" in command("+sweep=smoke", "--cfg", "job", "seed=1")[1]


def test_the_plan_of_the_embedded_sweep_is_a_few_lines_of_80_columns(
    tmp_path: Path,
):
    answer = subprocess.run(
        [sys.executable, "-m", "raysweep", "stages=[plan]"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    line, backend, *power = answer.stdout.splitlines()
    assert line.startswith("plan      ") and line.endswith(" tokens")
    assert backend.startswith("backend   torch for 24 of 24 engines: vLLM is not installed")
    assert power[0].startswith("power     ") and len(power) == 5
    assert max(map(len, (line, backend, *power))) <= 80


def test_it_runs_as_a_module_and_bad_input_costs_about_a_second(tmp_path: Path):
    answer = subprocess.run(
        [sys.executable, "-m", "raysweep", "seed=x", "sweep.models=[nothing]"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 2
    assert answer.stderr == "raysweep: seed: 'x' is not a whole number; write a whole number\n"

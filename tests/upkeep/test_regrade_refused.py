"""Where a machine cannot grade, regrading leaves stored outcomes as they are, and says why."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.command import Command
from support.nouns import a_benchmark

from raysweep.errors import ConfigError
from raysweep.grading import GRADERS
from raysweep.system.workers import DeadWorkerError, Workers

TESTS = Path(__file__).parents[1]
MATHEMATICS = (a_benchmark(grader="mathematics"),)


def content(command: Command) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in command.out.rglob("shard-*.parquet")}


def test_a_grader_that_does_not_work_here_changes_no_outcome(
    run: Command, monkeypatch: pytest.MonkeyPatch
):
    run("generate")
    before = content(run)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    dead = replace(GRADERS["mathematics"], in_worker="support.worker_calls:crash")
    monkeypatch.setitem(GRADERS, "mathematics", dead)
    with pytest.raises(ConfigError, match="'mathematics' does not work on this machine"):
        run("regrade", benchmarks=MATHEMATICS)
    assert content(run) == before != {}


def test_a_worker_that_dies_is_not_laid_to_the_part_which_stays(
    run: Command, monkeypatch: pytest.MonkeyPatch
):
    run("generate")
    before = content(run)

    def dies(self: Workers, function: str, *_: object, **__: object) -> None:
        raise DeadWorkerError(f"{function}: its worker died")

    monkeypatch.setattr(Workers, "call", dies)
    with pytest.raises(ConfigError, match=r"stays as it is: .* its worker died; give more memory"):
        run("regrade")
    assert content(run) == before != {}


def test_a_worker_that_cannot_be_started_has_died(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with Workers(1) as workers, pytest.raises(DeadWorkerError, match="no worker can be started"):
        workers.call("support.worker_calls:echo")

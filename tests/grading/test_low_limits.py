"""Grading under resource limits that somebody else has set, lower than the grader's own."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.errors import ConfigError
from raysweep.grading import GRADERS, check_works
from raysweep.system.workers import Workers

ROOT = Path(__file__).parents[2]
CHECK = """
import sys
from raysweep.grading import check_works
from raysweep.system.workers import Workers
with Workers(1) as workers:
    check_works(sys.argv[1], "grader", workers)
"""


def check_under(limits: str, grader: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'ulimit {limits}; exec "$0" "$@"', sys.executable, "-c", CHECK, grader],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("limits", ["-v 4000000", "-v 800000", "-s 4096", "-f 2048"])
@pytest.mark.parametrize("grader", [name for name, grader in GRADERS.items() if grader.trial])
def test_the_lower_limit_holds_and_right_answers_are_correct(limits: str, grader: str):
    ended = check_under(limits, grader)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_grader_for_which_memory_does_not_suffice_is_refused_with_the_way_out():
    said = check_under("-v 60000", "mathematics").stderr.splitlines()[-1]
    assert "grader: 'mathematics' does not work on this machine, so nothing was graded" in said
    assert "give more memory, or raise the limits (ulimit -a lists them)" in said


@pytest.mark.parametrize("end", ["crash", "leave", "fail"])
def test_a_grader_whose_worker_ends_is_refused(monkeypatch: pytest.MonkeyPatch, end: str):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    broken = replace(GRADERS["mathematics"], in_worker=f"support.worker_calls:{end}")
    monkeypatch.setitem(GRADERS, "broken", broken)
    with Workers(1) as workers, pytest.raises(ConfigError, match=r"grader: 'broken' does not work"):
        check_works("broken", "grader", workers)

"""A run folder of an earlier version can be used as before, except that no sample is added to it.

The archive holds the samples and config.yaml of `python -m raysweep +sweep=smoke`, as version 0.1.0 wrote
them: with schema version 1, whose parts name questions together with their gold answers and no prompts.
"""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import raysweep

ROOT = Path(__file__).parents[2]
CHAIN_MEAN = 0.20013503086419446  # of the 72 accuracies on chain, as version 0.1.0 reduced them
ARCHIVE = Path(__file__).parents[1] / "support" / "smoke-run-0.1.0.tar.xz"


@pytest.fixture
def older(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "smoke", filter="data")
    return tmp_path


def run(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "raysweep", "+sweep=smoke", f"out={out}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def smoke(out: Path, stages: str) -> str:
    done = run(out, f"stages=[{stages}]")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_older_run_has_nothing_left_to_generate_and_reduces_to_the_same_scenarios(older: Path):
    assert "nothing to do" in smoke(older, "plan,regrade,generate,reduce")
    scenarios = raysweep.open_run(str(older / "smoke")).scenarios
    chain = scenarios[scenarios.benchmark == "chain"]
    assert len(scenarios) == 144
    assert chain.accuracy.mean() == pytest.approx(CHAIN_MEAN, abs=1e-12)


def test_an_older_run_verifies(older: Path):
    assert "no problem found" in smoke(older, "verify")


def test_more_samples_for_an_older_run_are_refused_before_anything_starts(older: Path):
    refused = run(older, "sweep.samples=9")
    assert refused.returncode == 2
    assert refused.stderr == (
        f"raysweep: run: samples are missing, but none can be added to {older}/smoke, because those in "
        "it have schema version 1 and do not name their prompts; choose another run=NAME, or use what it "
        "has with stages=[reduce,report]\n"
    )
    assert "starting Ray" not in refused.stdout

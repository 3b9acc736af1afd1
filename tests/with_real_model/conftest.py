"""Run by `make test-real`, which makes the model first; the ordinary tests leave this folder out."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from with_real_model.real_model import CHECKPOINTS, ROOT


@pytest.fixture(scope="session", autouse=True)
def preparing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Path]]:
    """The stage prepare, which quantises the model to 4 bits; call the fixture to wait for the checkpoint.

    It starts at once, because it keeps one core busy for a minute, and most tests here use one. It is made
    once for all runs of the tests.
    """
    out = tmp_path_factory.mktemp("prepared")
    changes = ["stages=[plan,prepare]", f"prepare.checkpoints={CHECKPOINTS}", f"out={out}"]
    command = [sys.executable, "-m", "raysweep", "+sweep=real", "sweep.backend=torch", *changes]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def checkpoint() -> Path:
        assert process.wait() == 0
        record = (out / "real" / "config.yaml").read_text()
        (revision,) = re.findall(r"checkpoint\..*gptq4-g64: (\w+)$", record, re.MULTILINE)
        return CHECKPOINTS / revision

    yield checkpoint
    process.terminate()
    process.wait()

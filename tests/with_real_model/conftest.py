"""Run by `make test-real`, which makes the model first; the ordinary tests leave this folder out.

The stage prepare quantises the model beside the tests that do not need that, which go first.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from with_real_model.real_model import CHECKPOINTS, ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "checkpoint" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", autouse=True)
def preparing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Path]]:
    """The stage prepare, begun; call the fixture to wait for the checkpoint, which is made once for all runs.

    It keeps one core busy for a minute and more, and the tests that go first use the other.
    """
    out = tmp_path_factory.mktemp("prepared")
    changes = ["stages=[plan,prepare]", f"prepare.checkpoints={CHECKPOINTS}", f"out={out}"]
    command = [sys.executable, "-m", "raysweep", "+sweep=real", "sweep.backend=torch", *changes]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def finished() -> Path:
        assert process.wait() == 0
        record = (out / "real" / "config.yaml").read_text()
        (revision,) = re.findall(r"checkpoint\..*gptq4-g64: (\w+)$", record, re.MULTILINE)
        return CHECKPOINTS / revision

    yield finished
    process.terminate()
    process.wait()


@pytest.fixture(scope="session")
def checkpoint(preparing: Callable[[], Path]) -> Path:
    """The folder of the model in 4 bits."""
    return preparing()

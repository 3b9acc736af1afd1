"""What all tests share: under RAYSWEEP_REQUIRE_ALL=1 a test may not quietly skip itself.

Only what no installation can bring is excused: instructions that the CPU lacks, and a GPU.
"""

import atexit
import faulthandler
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.browser import Browser, Page
from support.configurations import write_models

# Set before torch and Triton are imported. One thread is as in an actor, and faster for small models. Kernels
# are interpreted, but not those of vLLM, which has an environment of its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if find_spec("vllm") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")

# hqq lies apart from the environment (see the Makefile), where transformers would import it in each process.
# In this one transformers is to find it, whenever it first looks.
sys.path.append(str(Path(sys.prefix) / "oracles"))

ROOT = Path(__file__).parents[1]
EXCUSED = ("AVX", "GPU", "CUDA")
REQUIRE_ALL = os.environ.get("RAYSWEEP_REQUIRE_ALL") == "1"
STATUS: list[int] = []  # pytest's, once it is known


@atexit.register  # as the first of all, so that it is called after all others
def end_at_once() -> None:
    """Leave out the interpreter's own dismantling.

    There it crashed once, after all tests had passed: most likely under the native threads that the many
    Rays, clusters and S3s of this one process leave behind. A run of raysweep has one Ray, and ends as any
    program does.
    """
    if STATUS:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(STATUS[-1])


def pytest_sessionfinish(exitstatus: int) -> None:
    STATUS.append(int(exitstatus))
    atexit.register(faulthandler.enable)  # should it crash in what is called before


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip that nothing excuses into a failure."""
    expected_failure = hasattr(report, "wasxfail")
    reason = str(report.longrepr)
    if report.skipped and not expected_failure and not any(word in reason for word in EXCUSED):
        report.outcome = "failed"
        report.longrepr = f"skipped under RAYSWEEP_REQUIRE_ALL=1: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRE_ALL:
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if REQUIRE_ALL:
        refuse_skip(report)
    return report


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of definitions with the models `small` and `large`."""
    return write_models(tmp_path_factory.mktemp("user"), "small", "large")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """A `support.command.Command`: runs stages in one folder, without Ray."""
    from support.command import Command, generate_here

    from raysweep.driver import generate

    monkeypatch.setattr(generate, "generate", generate_here)
    return Command(tmp_path, capsys)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a finished run in it, `runs/smoke`, as the command line made it."""
    folder = tmp_path_factory.mktemp("finished")
    command = [sys.executable, "-m", "raysweep", "+sweep=smoke", "cluster.actors=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="session")
def opened(browser: Browser) -> Page:
    """The synthetic run's page, loaded once."""
    from support.report_page import RESULTS

    from raysweep.reporting.page import render

    return browser.open(render(RESULTS), name="synthetic")


@pytest.fixture
def page(opened: Page) -> Page:
    """The synthetic run's page with its controls as they are at first."""
    opened.front()
    opened.evaluate("form.reset()")
    opened.frames()
    return opened

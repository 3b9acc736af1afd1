"""Requests to an object store per stage, of a run whose parts are known and of one whose parts are not.

A local S3 counts them.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import Command, generate_here
from support.nouns import a_run_config
from support.s3_server import S3, s3_server

from raysweep.configuration.identity import as_document
from raysweep.stages import run_stages
from raysweep.storage import note_index
from raysweep.storage.address import below
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE

# Three questions, two per shard, and two samples each: two parts for two samples.
SAMPLES = 40
PARTS = SAMPLES


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def made(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A complete run of PARTS parts, of which nothing has been read yet."""
    out = s3.address("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raysweep.driver.generate.generate", generate_here)
        config = a_run_config(out=out, samples=SAMPLES, stages=("generate",))
        assert run_stages(config, as_document(config)) == DONE
    return out


class Asked:
    """Runs stages of the run, and counts what the storage is asked of parts, and of all else."""

    def __init__(self, s3: S3, out: str, run: Command):
        self.s3, self.out, self.run = s3, out, run
        self.parts: Counter[str] = Counter()
        self.others = 0

    def __call__(self, *stages: str) -> int:
        self.s3.asked.clear()
        status, _ = self.run(*stages, out=self.out, samples=SAMPLES)
        of_parts = [method for method, path in self.s3.asked if "/shard-" in path]
        self.parts, self.others = Counter(of_parts), len(self.s3.asked) - len(of_parts)
        return status

    def forget(self) -> None:
        """Lose the index."""
        folder = Store(below(self.out, "test")).folder
        for name in folder.names("index"):
            folder.remove(name)


@pytest.fixture
def asked(
    s3: S3,
    made: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Asked:
    # The parts were written a moment ago, and the index counts only what is older.
    monkeypatch.setattr(note_index, "SETTLED_S", -60.0)
    return Asked(s3, made, Command(tmp_path, capsys))


@pytest.mark.parametrize("stages", [("status",), ("plan",), ("plan", "prepare", "generate")])
def test_a_command_that_knows_no_part_asks_once_for_each_and_then_never_again(asked: Asked, stages):
    asked.forget()
    assert asked(*stages) == DONE
    assert asked.parts == {"GET": PARTS} and asked.others <= 40
    assert asked(*stages) == DONE
    assert asked.parts == {} and asked.others <= 40


def test_reduce_asks_for_each_part_by_one_read_besides_its_size(asked: Asked):
    asked("status")
    assert asked("reduce") == DONE
    assert asked.parts == {"HEAD": PARTS, "GET": PARTS}


def test_an_index_that_is_lost_costs_one_request_for_each_part(asked: Asked):
    asked("status")
    before = asked.others
    asked.forget()
    assert asked("status") == DONE
    assert asked.parts == {"GET": PARTS} and asked.others <= before + 3

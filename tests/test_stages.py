"""The stages one by one, on the fake engine and without Ray: what they say, write, and return."""

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from examples import a_run_config

from actors.engine_actor import EngineActor, Receipt
from raysweep import driver
from raysweep.configuration.identity import as_document
from raysweep.driver import Outcome
from raysweep.errors import ConfigError
from raysweep.schedule import Failure
from raysweep.spec import Shard
from raysweep.stages import DONE, WORK_REMAINS, run_stages


def generate_here(
    shards: Iterable[Shard],
    store_root: str,
    generation: Any,
    cluster: Any,
    finished: Callable[[Receipt], None],
) -> Outcome:
    """Stands in for driver.generate: one shard after the other, in this process."""
    receipts = []
    for shard in shards:
        actor = EngineActor(shard.engine, store_root, generation.max_rows)
        receipts.append(asyncio.run(actor.run_shard(shard)))
        finished(receipts[-1])
    tokens = sum(receipt.tokens for receipt in receipts)
    samples = sum(receipt.samples for receipt in receipts)
    return Outcome(len(receipts), samples, tokens, wall_s=1.0, faults=0, failures=())


class Command:
    """Runs stages in one folder; gives the exit status and what was printed."""

    def __init__(self, out: Path, capsys: pytest.CaptureFixture[str]):
        self.out, self.capsys = out, capsys

    def __call__(self, *stages: str, **changes: Any) -> tuple[int, str]:
        config = a_run_config(**{"out": str(self.out), "stages": stages, **changes})
        status = run_stages(config, as_document(config))
        return status, " ".join(self.capsys.readouterr().out.split())


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.setattr(driver, "generate", generate_here)
    return Command(tmp_path, capsys)


def test_reduce_counts_the_samples_that_are_there_whatever_an_earlier_plan_said(run: Command):
    run("plan", "generate", "reduce", samples=2)
    status, said = run("generate", "reduce", samples=4)
    assert status == DONE
    assert "4 scenarios from 12 samples" in said


def test_reduce_of_what_was_not_generated_says_what_is_missing_and_who_makes_it(run: Command):
    run("plan", "generate", "reduce", samples=2, group_sizes=(1, 2))
    status, said = run("reduce", samples=4, group_sizes=(1, 2, 4))
    assert status == WORK_REMAINS
    assert "2 of 4 shards are missing" in said
    assert "2 scenarios could not be computed for lack of samples" in said
    assert "the stage generate makes them" in said


@pytest.mark.parametrize("content", ["identity: 3", "identity: [a]", "[", "seed: 0", "\xff"])
def test_a_folder_that_cannot_say_what_its_samples_are_is_refused(run: Command, content: str):
    folder = run.out / "test"
    folder.mkdir()
    (folder / "config.yaml").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match="nobody knows what its samples are; choose another run"):
        run("plan")


@pytest.mark.parametrize("content", ["", '{"wall_s": 1', "[]", "\xff"])
def test_a_damaged_summary_is_written_anew(run: Command, content: str):
    run("generate")
    (run.out / "test" / "summary.json").write_bytes(content.encode("latin-1"))
    assert run("reduce")[0] == DONE
    assert json.loads((run.out / "test" / "summary.json").read_text())["samples"] == 12


def test_plan_and_engine_tables_are_written_never_read(run: Command):
    run("plan", "generate")
    for name in ("plan.parquet", "engines.parquet"):
        (run.out / "test" / name).write_bytes(b"damaged")
    assert run("generate", "reduce")[0] == DONE


def test_a_path_is_printed_as_it_is_even_if_it_looks_like_markup(run: Command):
    run.out = run.out / "p[" / "y]"
    status, said = run("generate", "reduce", "report")
    assert status == DONE
    assert f"{run.out}/test/report/index.html" in said


def test_a_reason_is_printed_as_it_is_even_if_it_looks_like_markup(
    run: Command, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: Any) -> Outcome:
        return Outcome(0, 0, 0, 1.0, 1, (Failure("aa", "toy[red]", "KeyError: [/a]"),))

    monkeypatch.setattr(driver, "generate", fail)
    status, said = run("generate")
    assert status == WORK_REMAINS
    assert "shard aa of toy[red]: KeyError: [/a]" in said
    assert "1 of 4 shards remain; the same command goes on with them" in said

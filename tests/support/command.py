"""A command on the fake engine, run in this process without Ray, for tests of stages."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.nouns import a_run_config

from actors.engine_actor import EngineActor
from raysweep.configuration.identity import as_document
from raysweep.driver.generate import Outcome, Watch
from raysweep.planning.lengths import Lengths
from raysweep.run_config import RunConfig
from raysweep.shard import Shard
from raysweep.stages import run_stages
from raysweep.storage.part import Part
from raysweep.storage.store import Store


def an_outcome(**changes: Any) -> Outcome:
    """The outcome of two actors that ran for one second."""
    nothing = Outcome(0, 0, 0, wall_s=1.0, gpu_s=0.0, faults={}, actors=2, failures=())
    return replace(nothing, **changes)


def generate_here(
    shards: Iterable[Shard],
    store: Store,
    config: RunConfig,
    lengths: Lengths,
    *,
    watch: Watch,
    ended: Callable[[Outcome], None],
    parts: Iterable[Part],
    **_: Any,
) -> Outcome:
    """Stands in for `driver.generate`. Runs one shard after the other in this process, in one second."""
    receipts = []
    for shard in shards:
        actor = EngineActor(shard.engine, store.root, config.generation.max_rows)
        receipts.append(asyncio.run(actor.run_shard(shard)))
    tokens = sum(receipt.tokens for receipt in receipts)
    samples = sum(receipt.samples for receipt in receipts)
    gpu_s = 2 * (config.cluster.gpus_per_actor or 0.0)
    outcome = an_outcome(shards=len(receipts), samples=samples, tokens=tokens, gpu_s=gpu_s)
    ended(outcome)
    return outcome


class Command:
    """Runs stages in one folder. Gives the exit status and the printed text."""

    def __init__(self, out: Path, capsys: pytest.CaptureFixture[str]):
        self.out, self.capsys = out, capsys
        self.version = "1"

    def __call__(self, *stages: str, **changes: Any) -> tuple[int, str]:
        config = a_run_config(**{"out": str(self.out), "stages": stages, **changes})
        document = {**as_document(config), "versions": {"raysweep": self.version}}
        status = run_stages(config, document)
        return status, " ".join(self.capsys.readouterr().out.split())

    def record(self) -> dict[str, Any]:
        return yaml.safe_load((self.out / "test" / "config.yaml").read_text())

    def summary(self) -> dict[str, Any]:
        return json.loads((self.out / "test" / "summary.json").read_text())

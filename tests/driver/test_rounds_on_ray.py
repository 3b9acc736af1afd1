"""Adaptive runs on a real Ray: whatever happens, the decisions are those of a calm run in one process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from ray import cloudpickle
from support import adaptive_driver, adaptive_runs
from support.adaptive_runs import PlantedActor, a_sampling, an_adaptive_config, run_here
from support.nouns import a_cluster

from raysweep.driver import ray_world
from raysweep.driver.generate import Outcome
from raysweep.driver.generate import generate as make
from raysweep.driver.ray_session import ray_session
from raysweep.planning.lengths import run_lengths
from raysweep.run_config import Adaptive, RunConfig
from raysweep.scheduling.loop import Finished
from raysweep.shard import Receipt, Shard
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE

pytestmark = pytest.mark.slow

KEY = ["engine_id", "benchmark", "question_id", "sample_index"]
CONFIG = an_adaptive_config()


class Killed(PlantedActor):
    """Is killed in its third shard, once for each engine."""

    async def run_shard(self, shard: Shard) -> Receipt:
        await asyncio.sleep(0.02)
        self.shards = getattr(self, "shards", 0) + 1
        fault = Path(self.store.root) / f"fault-{shard.engine.engine_id}"
        if self.shards == 3 and not fault.exists():
            fault.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().run_shard(shard)


@pytest.fixture(scope="module", autouse=True)
def one_ray() -> Iterator[None]:
    for module in (sys.modules[__name__], adaptive_runs):
        cloudpickle.register_pickle_by_value(module)
    with ray_session(a_cluster()):
        yield


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("calm")))
    run_here(CONFIG, store)
    return store


def go_on(
    store: Store, config: RunConfig = CONFIG, actor: type[PlantedActor] = PlantedActor
) -> Outcome:
    """One session of a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_world, "EngineActor", actor)
        sampling = a_sampling(config, store)
        sampling.begin()
        parts = tuple(store.parts())
        shards = sampling.coming()
        return make(shards, store, config, run_lengths(config), parts=parts, sampling=sampling)


def records(store: Store) -> dict[str, str]:
    folder = Path(store.root) / "adaptive"
    return {path.name: path.read_text() for path in sorted(folder.glob("*.json"))}


def samples(store: Store) -> pd.DataFrame:
    """The samples of a run, each once, up to the most token budgets that there are of it."""
    parts = [pd.read_parquet(path) for path in Path(store.root).glob("samples/*/*.parquet")]
    table = pd.concat(parts).drop(columns="wall_s")
    table["answers"] = [[dict(answer) for answer in answers] for answers in table["answers"]]
    table["budgets"] = table["answers"].map(len)
    kept = table.sort_values([*KEY, "budgets"]).drop_duplicates(KEY, keep="last")
    return kept.set_index(KEY)


def assert_same(store: Store, calm: Store) -> None:
    """The same decisions, and every sample of the calm run; those that began early may be more or longer."""
    assert records(store) == records(calm)
    found, wanted = samples(store), samples(calm)
    for key, row in wanted.iterrows():
        answers = found.loc[key, "answers"]
        assert [repr(one) for one in answers[: row.budgets]] == [repr(one) for one in row.answers]
    made = Counter((p.stream_id, *cell) for p in store.parts() for cell in p.cells)
    assert max(made.values()) == 1


def test_one_session_goes_from_round_to_round_to_the_end(calm, tmp_path):
    store = Store(str(tmp_path))
    outcome = go_on(store)
    assert_same(store, calm)
    assert outcome.failures == () and outcome.left == 0 and outcome.stopped == ""
    assert go_on(store).shards == 0


def test_other_shards_and_one_actor_come_to_the_same_decisions(calm, tmp_path):
    store = Store(str(tmp_path))
    config = an_adaptive_config(shard_questions=3, shard_samples=3, cluster=a_cluster(actors=1))
    go_on(store, config)
    assert_same(store, calm)


def test_actors_that_are_killed_change_no_decision(calm, tmp_path):
    store = Store(str(tmp_path))
    outcome = go_on(store, actor=Killed)
    assert outcome.faults["actor"] >= 3
    assert_same(store, calm)


def test_a_session_that_goes_on_from_another_decides_alike(calm, tmp_path):
    """The first one ends in a later round, as after SIGTERM."""
    store = Store(str(tmp_path))

    def watch(schedule, event) -> None:
        if isinstance(event, Finished) and event.task.shard.sample_start >= 4 and records(store):
            raise KeyboardInterrupt

    sampling = a_sampling(CONFIG, store)
    shards = sampling.coming()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_world, "EngineActor", PlantedActor)
        with pytest.raises(KeyboardInterrupt):
            make(shards, store, CONFIG, run_lengths(CONFIG), watch, sampling=sampling)
    assert 0 < len(records(store)) < 4
    go_on(store)
    assert_same(store, calm)


def test_a_ceiling_ends_the_run_with_what_is_known_by_then(tmp_path):
    store = Store(str(tmp_path))
    none = replace(CONFIG.sweep, adaptive=Adaptive(0.02, 0.05, max_gpu_hours=0.0))
    # On CPUs no GPU time is spent, so nothing is exceeded.
    go_on(store, replace(CONFIG, sweep=none))
    assert len(records(store)) == 4


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("when", "number"), [("before", 1), ("after", 2)])
def test_a_driver_killed_at_a_round_s_end_changes_nothing(calm, tmp_path, when, number):
    command = [sys.executable, adaptive_driver.__file__, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def run(*changes: str) -> int:
        return subprocess.run([*command, *changes], env=environment, timeout=300).returncode

    assert run(when, str(number)) == -signal.SIGKILL
    store = Store(str(tmp_path / "test"))
    assert len(records(store)) == (number if when == "after" else number - 1)
    assert run() == DONE
    assert_same(store, calm)

"""The driver on a real Ray, with the fake engine and actors that are killed on purpose."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray import cloudpickle
from support.nouns import (
    a_cluster,
    a_model,
    a_run_config,
    some_questions,
    some_shards,
)
from support.ray_runs import assert_whole, generate_on_ray

from actors.engine_actor import EngineActor
from actors.fake_engine import FakeEngine
from raysweep.driver import generate
from raysweep.driver.generate import Outcome
from raysweep.driver.ray_session import ray_session
from raysweep.planning.plan import make_plan
from raysweep.shard import Receipt, Shard
from raysweep.storage.store import Store

pytestmark = pytest.mark.slow


class Killed(EngineActor):
    """Is killed in its third shard, once."""

    async def run_shard(self, shard: Shard) -> Receipt:
        await asyncio.sleep(0.05)
        self.shards = getattr(self, "shards", 0) + 1
        if self.shards == 3 and is_first_time(self.store):
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().run_shard(shard)


class KilledInMidWrite(EngineActor):
    """Is killed once after a part was written, before it is renamed into place."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        fsync = os.fsync

        def fsync_or_die(file: int) -> None:
            fsync(file)
            if is_first_time(self.store):
                os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = fsync_or_die


class Breaking(EngineActor):
    """One question breaks its engine at every attempt."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        engine = self.engine
        assert isinstance(engine, FakeEngine)
        engine_step = engine.step

        def step() -> None:
            if any("2 + 1" in request.prompt for request, _ in engine.waiting):
                engine.waiting.clear()
                raise ValueError("this question\nbreaks the engine")
            engine_step()

        engine.step = step


class Slow(EngineActor):
    """Its engine is slow, so that its samples wait in it."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.load_s = 1234.5
        engine_step = self.engine.step

        def step() -> None:
            time.sleep(0.3)
            engine_step()

        self.engine.step = step


class Telling(EngineActor):
    """Writes down which GPUs it sees."""

    async def run_shard(self, shard: Shard) -> Receipt:
        self.store.write_text("gpus", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
        return await super().run_shard(shard)


def is_first_time(store: Store) -> bool:
    try:
        os.close(os.open(f"{store.root}/fault", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


@pytest.fixture(scope="module", autouse=True)
def one_ray() -> Iterator[None]:
    """One Ray for all tests here, whose workers get these classes by value."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with ray_session(a_cluster()):
        yield
    assert not ray.is_initialized()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_without_a_number_of_actors_there_are_as_many_as_the_machine_can_afford(store, monkeypatch):
    monkeypatch.setattr(generate, "affordable_actors", lambda shards, size: min(2, shards))
    shards = some_shards(models=tuple(a_model(name) for name in "ab"))
    outcome = generate_on_ray(store, shards, Slow, cluster=a_cluster(actors=None))
    assert (outcome.shards, outcome.actors) == (8, 2)


def actors_left() -> list[str]:
    """Names of the actors that are still alive after some seconds."""
    names = ray.util.list_named_actors()
    for _ in range(50):
        if not names:
            break
        time.sleep(0.1)
        names = ray.util.list_named_actors()
    return names


def test_every_shard_comes_back_and_its_part_is_in_the_store(store):
    shards = some_shards(models=tuple(a_model(name) for name in "abc"))
    receipts = []
    outcome = generate_on_ray(store, shards, finished=receipts.append)
    assert Counter(r.shard_id for r in receipts) == Counter(s.shard_id for s in shards)
    assert outcome.shards == len(shards) == 12
    assert outcome.samples == 36
    assert outcome.tokens == sum(receipt.tokens for receipt in receipts)
    assert (outcome.faults, outcome.failures) == ({}, ())
    assert_whole(store, shards)
    assert actors_left() == []


def test_loads_come_back_in_the_seconds_that_the_actors_say(store):
    outcome = generate_on_ray(store, some_shards(), Slow)
    ((place, load),) = outcome.loads.items()
    assert (place, load.mean_s) == (("", some_shards()[0].engine.engine_id), 1234.5)


def test_what_was_generated_is_not_planned_again(store):
    generate_on_ray(store, some_shards())
    assert make_plan(a_run_config(), store.parts()).to_do == ()


def test_a_killed_actor_loses_nothing_and_doubles_nothing(store):
    shards = some_shards(samples=8, shard_samples=1)
    receipts = []
    outcome = generate_on_ray(store, shards, Killed, receipts.append)
    assert store.exists("fault")
    assert outcome.faults == {"actor": 1}
    assert outcome.failures == ()
    assert Counter(r.shard_id for r in receipts) == Counter(s.shard_id for s in shards)
    assert_whole(store, shards)


def test_a_shard_killed_in_mid_write_is_rerun_and_counted_once(store):
    shards = some_shards()
    outcome = generate_on_ray(store, shards, KilledInMidWrite)
    assert list(Path(store.root).rglob("*.tmp"))
    assert outcome.faults == {"actor": 1}
    assert (outcome.shards, outcome.samples) == (4, 12)
    assert_whole(store, shards)


def test_an_engine_that_cannot_load_fails_with_its_reason_and_the_others_finish(store):
    bad = some_shards(models=(a_model("bad"),), backend="nonsense")
    good = some_shards(models=(a_model("good"),))
    outcome = generate_on_ray(store, (*bad, *good), max_attempts=2)
    assert {failure.shard_id for failure in outcome.failures} == {s.shard_id for s in bad}
    for failure in outcome.failures:
        assert failure.engine_id == "bad.bf16.full"
        assert "ValueError: backend: 'nonsense' is not known" in failure.reason
        assert "\n" not in failure.reason
    assert outcome.shards == len(good)
    assert_whole(store, good)


def test_a_shard_that_always_breaks_the_engine_takes_no_other_down_with_it(store):
    killer = some_questions(3)[2]
    shards = some_shards(shard_questions=1)
    outcome = generate_on_ray(store, shards, Breaking, shard_questions=1, shard_samples=1)
    bad = [shard for shard in shards if killer in shard.questions]
    assert {failure.shard_id for failure in outcome.failures} == {s.shard_id for s in bad}
    assert "ValueError: this question breaks the engine" in outcome.failures[0].reason
    assert_whole(store, [shard for shard in shards if shard not in bad])


def test_an_actor_without_gpus_sees_none(store):
    generate_on_ray(store, some_shards(), Telling)
    assert store.read_text("gpus") == ""


class SeeingSecrets(EngineActor):
    """Writes down the token that its libraries would read."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.store.write_text("token", os.environ.get("HF_TOKEN", ""))


def test_an_actor_has_the_drivers_token(store, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    generate_on_ray(store, some_shards(), SeeingSecrets)
    assert store.read_text("token") == "hf_secret"


class Warned(EngineActor):
    """Has a warning about its engine."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        tokens = arguments["longest"], arguments["mean"]
        self.engine.warnings = ("loaded for {} tokens, {} on average".format(*tokens),)


def test_warnings_of_engines_come_back_once(store):
    assert generate_on_ray(store, some_shards(), Warned).warnings == (
        "loaded for 43 tokens, 26 on average",
    )


def test_an_interruption_leaves_no_actor_behind_and_keeps_what_is_done(store):
    def interrupt(receipt: Receipt) -> None:
        raise KeyboardInterrupt

    shards = some_shards(shard_questions=1, shard_samples=1)
    outcomes: list[Outcome] = []
    with pytest.raises(KeyboardInterrupt):
        generate_on_ray(store, shards, Slow, interrupt, outcomes.append, max_rows=1)
    assert actors_left() == []
    left = make_plan(a_run_config(shard_questions=1, shard_samples=1), store.parts()).to_do
    assert 0 < len(left) < len(shards)
    assert outcomes[0].shards == 1
    assert outcomes[0].wall_s > 0
    outcome = generate_on_ray(store, left)
    assert outcome.shards == len(left)
    assert_whole(store, shards)

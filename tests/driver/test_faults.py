"""Each kind of fault that a sweep survives, one by one, on a real Ray with real processes killed.

Killed actors, questions that break an engine and engines that cannot load are in test_generate.py.
"""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from ray import cloudpickle
from support.nouns import a_cluster, a_run_config, some_questions, some_shards
from support.ray_runs import assert_whole, generate_on_ray

from actors.engine_actor import EngineActor
from actors.fake_engine import FakeEngine
from raysweep.driver import generate
from raysweep.driver.ray_session import ray_session
from raysweep.driver.ray_world import RayWorld
from raysweep.errors import StorageError
from raysweep.planning.plan import make_plan
from raysweep.storage.store import Store
from raysweep.system.sigterm import Terminated

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def once(store: Store, what: str) -> bool:
    """Whether it is the first time."""
    try:
        os.close(os.open(f"{store.root}/{what}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's exception."""


class Faulty(EngineActor):
    """Fails when its engine steps."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.rows = arguments["max_rows"]
        engine_step = self.engine.step

        def step() -> None:
            self.fail()
            engine_step()

        self.engine.step = step

    def fail(self) -> None:
        raise NotImplementedError


class Hangs(Faulty):
    def fail(self) -> None:
        if once(self.store, "hang"):
            time.sleep(1e6)


class RunsOutOfMemory(Faulty):
    """Fails unless it decodes at most two rows."""

    def fail(self) -> None:
        if self.rows > 2:
            raise OutOfMemoryError("CUDA out of memory")


class HasNaN(Faulty):
    """The model's logits are NaN for one question."""

    def fail(self) -> None:
        assert isinstance(self.engine, FakeEngine)
        if any("2 + 1" in request.prompt for request, _ in self.engine.waiting):
            self.engine.waiting.clear()
            raise FloatingPointError("the model's logits are not finite")


class StorageFails(EngineActor):
    """Its storage fails for good, `most` times."""

    most = 10**9

    async def run_shard(self, shard):
        taken = len(list(Path(self.store.root).glob("refused-*")))
        if taken < self.most and once(self.store, f"refused-{taken}"):
            raise StorageError("storage: it failed for 300 s")
        return await super().run_shard(shard)


class StorageFailsTwice(StorageFails):
    most = 2


class Slow(EngineActor):
    async def run_shard(self, shard):
        import asyncio

        await asyncio.sleep(0.5)
        return await super().run_shard(shard)


@pytest.fixture(scope="module")
def one_ray():
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with ray_session(a_cluster()):
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_an_engine_that_hangs_is_ended_and_its_shards_run_elsewhere(one_ray, store):
    shards = some_shards()
    outcome = generate_on_ray(store, shards, Hangs, hang_minutes=0.05, cluster=a_cluster(actors=1))
    assert (outcome.faults, outcome.failures) == ({"hang": 1}, ())
    assert_whole(store, shards)


def test_an_engine_out_of_memory_goes_on_with_fewer_rows(one_ray, store):
    shards = some_shards()
    outcome = generate_on_ray(
        store, shards, RunsOutOfMemory, max_rows=8, cluster=a_cluster(actors=1)
    )
    assert (set(outcome.faults), outcome.failures) == ({"out_of_memory"}, ())
    assert_whole(store, shards)


def test_nan_logits_for_a_question_quarantine_it_and_nothing_else(one_ray, store):
    shards = some_shards(shard_questions=3)
    outcome = generate_on_ray(store, shards, HasNaN, shard_questions=3)
    killer = some_questions(3)[2].question_id
    assert {failure.question_id for failure in outcome.failures} == {killer}
    assert "FloatingPointError: the model's logits are not finite" in outcome.failures[0].reason
    left = make_plan(a_run_config(shard_questions=3), store.parts()).to_do
    assert {q.question_id for shard in left for q in shard.questions} == {killer}


def test_storage_that_fails_and_recovers_costs_attempts_and_no_sample(one_ray, store):
    shards = some_shards()
    cluster = a_cluster(actors=1)
    outcome = generate_on_ray(store, shards, StorageFailsTwice, max_attempts=5, cluster=cluster)
    assert outcome.failures == () and outcome.left == 0
    assert 1 <= outcome.faults["storage"] <= 2
    assert_whole(store, shards)


def test_storage_that_stays_broken_ends_the_run_with_all_work_left_and_nobody_blamed(
    one_ray, store
):
    shards = some_shards()
    outcome = generate_on_ray(store, shards, StorageFails, cluster=a_cluster(actors=1))
    assert outcome.failures == ()
    assert outcome.faults == {"storage": 3}  # max_attempts
    assert outcome.left == sum(shard.samples for shard in shards)
    assert "storage: it failed for 300 s" in outcome.stopped


def test_a_full_object_store_stops_nothing_for_nothing_large_goes_through_it(one_ray, store):
    import numpy as np
    import ray

    held = []
    for _ in range(12):  # More than the store holds, so that Ray spills to disk.
        held.append(ray.put(np.zeros(16_000_000, np.uint8)))
    shards = some_shards()
    outcome = generate_on_ray(store, shards)
    assert (outcome.faults, outcome.failures) == ({}, ())
    assert_whole(store, shards)


def test_a_clock_that_jumps_changes_nothing(one_ray, store, monkeypatch):
    """The driver, the scheduler and the lease decide without the wall clock."""
    jumps = iter(range(10**6))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86_400 * (next(jumps) % 3 - 1))
    shards = some_shards()
    outcome = generate_on_ray(store, shards, hang_minutes=0.5)
    assert (outcome.faults, outcome.failures) == ({}, ())
    assert_whole(store, shards)


def test_no_wall_clock_is_read_where_decisions_are_made():
    deciding = ["progress/watch", "storage/lease", "system/sigterm"]
    files = [ROOT / "raysweep" / f"{name}.py" for name in deciding]
    rooms = [ROOT / "raysweep" / name for name in ("driver", "scheduling")]
    files += [file for room in rooms for file in room.glob("*.py")]
    for file in files:
        if file.name == "preflight.py":  # which compares the clocks of nodes with the driver's
            continue
        assert "time.time()" not in file.read_text(), file
        assert "datetime" not in file.read_text(), file


def test_sigterm_lets_shards_at_work_finish_and_begins_no_other(one_ray, store, monkeypatch):
    """Of eight shards on one actor the running ones are kept, and the run ends with work left."""
    shards = some_shards(shard_questions=1, samples=8)
    loaded = RayWorld.run
    handed: list[str] = []

    def run(self, place, task):
        handed.append(task.shard.shard_id)
        loaded(self, place, task)
        if len(handed) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RayWorld, "run", run)
    outcomes: list[generate.Outcome] = []
    with pytest.raises(Terminated):
        generate_on_ray(
            store, shards, Slow, ended=outcomes.append, max_rows=1, cluster=a_cluster(actors=1)
        )
    assert outcomes[0].shards == len(handed) < len(shards)
    assert len(list(store.parts())) == len(handed)


def test_sigterm_drops_shards_that_do_not_finish_within_the_grace(one_ray, store, monkeypatch):
    class Endless(Faulty):
        def fail(self) -> None:
            time.sleep(1e6)

    loaded = RayWorld.run

    def run(self, place, task):
        loaded(self, place, task)
        os.kill(os.getpid(), signal.SIGTERM)
        monkeypatch.setattr(RayWorld, "run", loaded)

    monkeypatch.setattr(RayWorld, "run", run)
    outcomes: list[generate.Outcome] = []
    one = a_cluster(actors=1)
    with pytest.raises(Terminated):
        generate_on_ray(
            store, some_shards(), Endless, ended=outcomes.append, grace_s=8, cluster=one
        )
    assert outcomes[0].shards == 0
    assert list(store.parts()) == []

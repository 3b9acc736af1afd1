"""The scheduler on a real Ray of several nodes with pretended GPUs: its decisions are carried out."""

import json
import logging
import math
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle
from ray.cluster_utils import Cluster as RayCluster
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from support.nouns import ARCHITECTURE, a_cluster, a_model, a_run_config, some_shards
from support.ray_runs import assert_whole

from actors.engine_actor import EngineActor
from raysweep.driver import head_watch, ray_world
from raysweep.driver.generate import Outcome, generate
from raysweep.driver.ray_errors import kind_of
from raysweep.driver.ray_nodes import TYPE_LABEL
from raysweep.driver.ray_session import QUIET
from raysweep.errors import ConfigError
from raysweep.planning.fit import placed
from raysweep.planning.lengths import Lengths
from raysweep.run_config import Cluster, Gpu, Pool, RunConfig
from raysweep.scheduling.loop import Event, Finished
from raysweep.scheduling.schedule import Schedule
from raysweep.shard import Receipt, Shard
from raysweep.storage.store import Store

pytestmark = pytest.mark.slow

DEAD_AFTER_SECONDS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}
# The engines here decode one row at a time, of the budget and the answer.
ROWS, LENGTHS = 1, Lengths(43)


class Noting(EngineActor):
    """Takes a tenth of a second per trace, and writes down where it ran and when."""

    def __init__(self, **arguments):
        self.began = time.time()
        super().__init__(**arguments)
        engine_step = self.engine.step

        def step() -> None:
            time.sleep(0.1)
            engine_step()

        self.engine.step = step

    async def run_shard(self, shard: Shard) -> Receipt:
        receipt = await super().run_shard(shard)
        context = ray.get_runtime_context()
        noted = {
            "model": shard.engine.model.name,
            "node": context.get_node_id(),
            "gpus": ray.get_gpu_ids(),
            "began": self.began,
            "ended": time.time(),
        }
        folder = Path(f"{self.store.root}-notes")
        folder.mkdir(exist_ok=True)
        # An actor may be killed while it writes.
        half = folder / f"{context.get_actor_id()}.half"
        half.write_text(json.dumps(noted))
        half.rename(half.with_suffix(".json"))
        return receipt


@pytest.fixture(scope="module")
def machines() -> Iterator[RayCluster]:
    """A head without CPUs, a node of two H100 and one of an L4."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**QUIET, "RAY_AUTH_TOKEN": secrets.token_hex(32)}.items():
            patch.setenv(name, os.environ.get(name, value))
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": DEAD_AFTER_SECONDS}
        cluster = RayCluster(initialize_head=True, head_node_args=head)
        add_node(cluster, "H100", 2)
        add_node(cluster, "L4", 1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def add_node(cluster: RayCluster, kind: str, gpus: int) -> Any:
    return cluster.add_node(num_cpus=8, num_gpus=gpus, labels={TYPE_LABEL: kind})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "run"))


def pool(kind: str, share: float = 1.0, bandwidth: float = 1e12) -> Pool:
    """A pool of GPUs so small that one of these engines takes this share of one."""
    memory = next(bytes_ for bytes_ in range(10**9, 10**10, 10**7) if taken(bytes_) <= share)
    return Pool(Gpu(kind.lower(), memory, bandwidth, 1e15, kind))


def taken(memory_bytes: int) -> float:
    """The GPUs that an engine takes, if each has so much memory."""
    fit = placed(some_shards()[0].engine, Gpu("", memory_bytes, 1.0, 1.0), ROWS, LENGTHS)
    return fit.gpus if fit else math.inf


def on(*pools: Pool, **changes: Any) -> Cluster:
    return a_cluster(address="auto", actors=None, gpus_per_actor=None, pools=pools, **changes)


def engines(*names: str, **changes: Any) -> tuple[Shard, ...]:
    return some_shards(models=tuple(a_model(name) for name in names), **changes)


def config_of(cluster: Cluster, **changes: Any) -> RunConfig:
    return a_run_config(cluster=cluster, max_rows=ROWS, **changes)


def make(
    store: Store,
    shards: tuple[Shard, ...],
    cluster: Cluster,
    watch: Callable[[Schedule, Event | None], None] = lambda schedule, event: None,
) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_world, "EngineActor", Noting)
        patch.setattr(head_watch, "LOOK_EVERY_S", 0.5)
        patch.setattr(ray_world, "ANNOUNCE_EVERY_S", 0.0)
        outcome = generate(shards, store, config_of(cluster), LENGTHS, watch)
    assert outcome.failures == () and not outcome.left
    assert_whole(store, shards)
    return outcome


def notes(store: Store) -> list[dict[str, Any]]:
    files = Path(f"{store.root}-notes").glob("*.json")
    return sorted((json.loads(file.read_text()) for file in files), key=lambda note: note["began"])


def beside(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two actors were on the same GPU at the same time."""
    same_gpu = one["node"] == other["node"] and set(one["gpus"]) & set(other["gpus"])
    return bool(same_gpu) and other["began"] < one["ended"] and one["began"] < other["ended"]


def test_two_halves_lie_on_a_gpu_and_never_a_third(machines, store):
    outcome = make(store, engines(*"abcdef"), on(pool("H100", 0.5)))
    found = notes(store)
    assert [len(note["gpus"]) for note in found] == [1] * 6
    assert outcome.actors == 4
    assert any(beside(one, other) for one, other in combinations(found, 2))
    for trio in combinations(found, 3):
        assert not all(beside(one, other) for one, other in combinations(trio, 2))


def test_a_gpu_is_given_back_when_an_engine_is_done_and_the_next_one_takes_it(machines, store):
    outcome = make(store, engines(*"abc"), on(pool("L4")))
    assert outcome.actors == 1
    found = notes(store)
    assert sorted(note["model"] for note in found) == ["a", "b", "c"]
    assert not any(beside(one, other) for one, other in combinations(found, 2))


def test_an_idle_gpu_makes_a_replica_where_loading_pays(machines, store):
    slow = 1e2  # bytes per second of memory bandwidth, so that a token takes longer than loading
    outcome = make(store, engines("a", samples=16), on(pool("H100", bandwidth=slow)))
    assert outcome.actors == 2
    one, other = notes(store)
    assert one["node"] == other["node"] and set(one["gpus"]).isdisjoint(other["gpus"])
    assert one["began"] < other["ended"] and other["began"] < one["ended"]


def test_engines_run_on_the_kind_of_gpu_that_they_were_planned_for(machines, store):
    labels = {node["NodeID"]: node["Labels"].get(TYPE_LABEL) for node in ray.nodes()}
    make(store, engines(*"ab"), on(pool("L4")))
    assert {labels[note["node"]] for note in notes(store)} == {"L4"}
    shards = engines(*"cde")
    make(store_beside(store), shards, on(pool("H100"), pool("L4")))
    assert {labels[note["node"]] for note in notes(store_beside(store))} == {"L4", "H100"}
    assert {part.device for part in store.parts()} == {"L4"}


def store_beside(store: Store) -> Store:
    return Store(f"{store.root}-2")


def test_an_engine_that_no_node_can_ever_hold_is_refused(machines, store):
    with pytest.raises(ConfigError) as raised:
        make(store, engines("a"), on(pool("A100")))
    assert "no Ray node has the 1 CPUs and 1 A100 GPUs that an actor of a.bf16.full needs" in str(
        raised.value
    )
    assert "8 CPUs and 2 H100 GPUs" in str(raised.value)
    # One left over would end this process, once the cluster is gone.
    assert all(thread.name != head_watch.THREAD for thread in threading.enumerate())


def test_an_engine_that_needs_more_gpus_than_a_node_has_is_skipped_and_the_others_run(
    machines, store
):
    large = replace(ARCHITECTURE, hidden_size=8192, intermediate_size=8192, kv_heads=2, layers=16)
    wide = a_model("wide", architecture=large)  # 6.4 GB of weights
    shards = engines("a") + some_shards(models=(wide,))
    six_gb = Gpu("l4", 6 * 10**9, 1e12, 1e15, "L4")
    fits = [placed(shard.engine, six_gb, ROWS, LENGTHS) for shard in (shards[0], shards[-1])]
    assert [fit.gpus for fit in fits if fit] == [0.3, 2]
    pools = (Pool(six_gb),)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_world, "EngineActor", Noting)
        with pytest.raises(ConfigError, match=r"no node of 1 l4 per node holds wide\.bf16\.full"):
            generate(shards, store, config_of(on(*pools)), LENGTHS)
        outcome = generate(shards, store, config_of(on(*pools), unfit="skip"), LENGTHS)
    assert {shard.engine.model.name for shard in outcome.unfit} == {"wide"}
    assert not outcome.left and not outcome.failures
    assert_whole(store, engines("a"))


def test_a_node_that_joins_late_is_waited_for_announced_and_used(machines, store, monkeypatch):
    announced, joined = [], []

    def announce(needs, really=ray_world.announce) -> None:
        announced.append(list(needs))
        really(needs)

    def watch(schedule: Schedule, event: Event | None) -> None:
        if not joined:
            assert event is None and not schedule.places
            joined.append(add_node(machines, "A10G", 1))

    monkeypatch.setattr(ray_world, "announce", announce)
    make(store, engines("a"), on(pool("A10G"), autoscaling=True), watch)
    assert {note["node"] for note in notes(store)} == {joined[0].node_id}
    assert [need.kind for need in announced[0]] == ["A10G"]
    assert announced[-1] == []
    machines.remove_node(joined[0])


def test_shards_of_a_raylet_that_is_killed_run_again_elsewhere_with_nothing_lost_or_doubled(
    machines, store
):
    doomed = add_node(machines, "L4", 1)
    machines.wait_for_nodes()
    killed: list[float] = []

    def watch(schedule: Schedule, event: Event | None) -> None:
        if isinstance(event, Finished) and event.place.spot.node_id == doomed.node_id:
            if not killed:
                doomed.kill_raylet()
            killed.append(time.time())

    outcome = make(store, engines(*"ab", samples=16), on(pool("L4")), watch)
    assert killed
    assert outcome.faults == {"node": 1}
    assert {note["node"] for note in notes(store)} > {doomed.node_id}
    there = NodeAffinitySchedulingStrategy(doomed.node_id, soft=False)
    late: Any = (
        ray.remote(EngineActor).options(scheduling_strategy=there).remote(**arguments(store))
    )
    with pytest.raises(RayError) as raised:
        ray.get(late.__ray_ready__.remote(), timeout=60)
    assert kind_of(raised.value) == "node"


def arguments(store: Store) -> dict[str, Any]:
    return {"spec": engines("a")[0].engine, "store_root": store.root, "max_rows": ROWS}

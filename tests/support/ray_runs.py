"""Shards generated on a real Ray with a test's own actor, and a check that no sample is missing."""

from collections import Counter
from collections.abc import Iterable

import pytest
from support.nouns import (
    a_cluster,
    a_run_config,
)

from actors.engine_actor import EngineActor
from raysweep.driver import ray_world
from raysweep.driver.generate import Outcome
from raysweep.driver.generate import generate as make
from raysweep.planning.lengths import shard_lengths
from raysweep.scheduling.loop import Event, Finished
from raysweep.scheduling.schedule import Schedule
from raysweep.shard import Shard
from raysweep.storage.part_file import place_of
from raysweep.storage.store import Store


def generate_on_ray(
    store: Store,
    shards: Iterable[Shard],
    actor: type[EngineActor] = EngineActor,
    finished=lambda receipt: None,
    ended=lambda outcome: None,
    cluster=None,
    **changes,
) -> Outcome:
    def watch(schedule: Schedule, event: Event | None) -> None:
        if isinstance(event, Finished):
            finished(event.receipt)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_world, "EngineActor", actor)
        config = a_run_config(**{"cluster": cluster or a_cluster(), **changes})
        shards = tuple(shards)
        lengths = shard_lengths(shards)
        return make(shards, store, config, lengths, watch, ended)


def assert_whole(store: Store, shards: Iterable[Shard]) -> None:
    """Check that each sample of the shards is in the store exactly once."""
    wanted = Counter(
        (shard.engine.engine_id, question.question_id, index)
        for shard in shards
        for question in shard.questions
        for index in range(shard.sample_start, shard.sample_start + shard.sample_count)
    )
    found = Counter()
    for part in store.parts():
        columns = ["engine_id", "question_id", "sample_index"]
        rows = store.read_samples([place_of(part)], columns)
        found.update(tuple(row.values()) for row in rows.to_pylist())
    assert found == wanted

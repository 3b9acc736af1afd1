"""The actor without Ray: shards share the engine's batch, and each becomes a part of graded samples."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from support.nouns import an_engine, some_shards

from actors import engine_actor, waits
from actors.engine import Trace
from actors.engine_actor import EngineActor
from actors.fake_engine import FakeEngine
from raysweep.shard import Receipt, Shard, sample_key
from raysweep.storage.part_file import shard_place
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store

MAX_ROWS = 2


class Actor(EngineActor):
    """Counts its engine's steps."""

    def __init__(self, store_root: Path):
        super().__init__(an_engine(), str(store_root), MAX_ROWS)
        self.engine_steps = 0
        engine_step = self.engine.step

        def step() -> None:
            self.engine_steps += 1
            engine_step()

        self.engine.step = step

    def run(self, shards: Iterable[Shard]) -> list[Receipt]:
        """Run shards at the same time, as Ray would."""

        async def together() -> list[Receipt]:
            return await asyncio.gather(*(self.run_shard(shard) for shard in shards))

        return asyncio.run(together())


def rows_of(store_root: Path, shard: Shard) -> list[dict]:
    store = Store(str(store_root))
    place = shard_place(shard.engine.engine_id, shard.shard_id)
    return store.read_samples([place], SAMPLES.names).to_pylist()


def test_a_receipt_says_what_the_part_holds(tmp_path):
    shard = some_shards()[0]
    (receipt,) = Actor(tmp_path).run([shard])
    rows = rows_of(tmp_path, shard)
    assert (receipt.shard_id, receipt.samples) == (shard.shard_id, len(rows))
    answers = [answer for row in rows for answer in row["answers"]]
    forks = sum(answer["answer_tokens"] for answer in answers if answer["forced"])
    assert receipt.tokens == sum(row["trace_tokens"] for row in rows) + forks


def test_a_part_has_a_graded_row_for_each_question_and_sample_in_order(tmp_path):
    shard = some_shards()[2]
    Actor(tmp_path).run([shard])
    rows = rows_of(tmp_path, shard)
    cells = [(row["question_id"], row["sample_index"]) for row in rows]
    assert cells == [("sums-0", 2), ("sums-0", 3), ("sums-1", 2), ("sums-1", 3)]
    for row in rows:
        assert row["engine_id"] == "toy.bf16.full"
        assert row["seed"] == sample_key(0, row["question_id"], row["sample_index"])
        assert row["trace_tokens"] == len(row["token_ids"])
        assert [answer["token_budget"] for answer in row["answers"]] == [4, 8]
        gold = {"sums-0": "1", "sums-1": "2"}[row["question_id"]]
        for answer in row["answers"]:
            assert (answer["outcome"] == "correct") == (answer["answer"] == gold)


def test_shards_that_run_at_the_same_time_share_the_batch(tmp_path):
    shards = some_shards(shard_questions=1, shard_samples=1)
    actor = Actor(tmp_path)
    assert len(actor.run(shards)) == len(shards) == 12
    assert actor.engine_steps == 12 / MAX_ROWS


def test_samples_are_the_same_alone_and_beside_others(tmp_path):
    shards = some_shards()
    Actor(tmp_path / "together").run(shards)
    for shard in shards:
        Actor(tmp_path / "alone").run([shard])
        assert rows_of(tmp_path / "together", shard) == rows_of(tmp_path / "alone", shard)


def test_an_answer_that_was_given_up_is_an_error_and_no_answer(tmp_path):
    shard = some_shards()[0]
    actor = Actor(tmp_path)
    add = actor.engine.add

    def given_up(trace: Trace) -> Trace:
        answers = tuple(replace(answer, given_up=True) for answer in trace.answers)
        return replace(trace, finish="deadline", answers=answers)

    actor.engine.add = lambda request, done: add(request, lambda trace: done(given_up(trace)))
    actor.run([shard])
    for row in rows_of(tmp_path, shard):
        assert row["finish"] == "deadline"
        outcomes = {(answer["outcome"], answer["answer"]) for answer in row["answers"]}
        assert outcomes == {("error", None)}


def test_a_load_takes_the_actors_own_seconds_without_those_that_it_waited(
    tmp_path, monkeypatch: pytest.MonkeyPatch
):
    clock = [100.0]

    def load(*what: object) -> FakeEngine:
        clock[0] += 7.0
        for waited in (3600.0, 60.0):
            with waits.waiting():
                clock[0] += waited
        return FakeEngine(MAX_ROWS)

    monkeypatch.setattr(waits.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(engine_actor, "load_engine", load)
    actor = EngineActor(an_engine(), str(tmp_path), MAX_ROWS)
    assert asyncio.run(actor.load_seconds()) == 7


def test_an_unknown_backend_is_named():
    with pytest.raises(
        ValueError, match="backend: 'nonsense' is not known; known: torch, vllm, server, fake"
    ):
        EngineActor(replace(an_engine(), backend="nonsense"), "runs", MAX_ROWS)

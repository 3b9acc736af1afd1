"""A shard whose samples exist up to fewer token budgets: its rows are those of a run that made it at once."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.nouns import a_model, an_engine
from support.tiny_models import (
    BUDGETS,
    MODELS,
    architecture,
    decoding,
    rendered,
    requests,
    smallest,
)

from actors.engine import Trace
from actors.engine_actor import EngineActor
from actors.fake_engine import fake_trace
from actors.lengthening import ended_by_itself
from raysweep.benchmarks import chain
from raysweep.shard import Place, Receipt, Shard
from raysweep.spec import BF16, Checkpoint, Decoding
from raysweep.storage.compaction import compact_engine
from raysweep.storage.part_file import shard_place
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store

MODEL = smallest()
PLAIN = decoding(token_budgets=BUDGETS)
WAYS = {
    "plain": PLAIN,
    "sentence": replace(PLAIN, forced_closing="\n\nI have to stop.\n</think>\n\n"),
    "wait": replace(PLAIN, extension="Wait"),
}


def a_shard(way: Decoding = PLAIN, backend: str = "torch") -> Shard:
    model = a_model(MODEL, path=str(MODELS / MODEL), architecture=architecture(MODEL))
    checkpoint = Checkpoint(model.path, model.revision)
    engine = an_engine(model=model, weights=BF16, backend=backend, checkpoint=checkpoint)
    questions = tuple(replace(q, rendered=rendered(q.prompt)) for q in chain.questions(6, seed=1))
    return Shard(engine, "chain", "integer", way, questions, 0, 3)


def up_to(budgets: int, shard: Shard) -> Shard:
    """The same samples up to so many token budgets."""
    fewer = shard.decoding.token_budgets[:budgets]
    return replace(shard, decoding=replace(shard.decoding, token_budgets=fewer))


class Actor(EngineActor):
    """Counts the samples that its engine is asked for."""

    def __init__(self, folder: Path, shard: Shard):
        super().__init__(shard.engine, str(folder), max_rows=8)
        self.asked = 0
        add = self.engine.add

        def counted(request, done) -> None:
            self.asked += 1
            add(request, done)

        self.engine.add = counted

    def run(self, *shards: Shard) -> list[Receipt]:
        async def together() -> list[Receipt]:
            return await asyncio.gather(*(self.run_shard(shard) for shard in shards))

        return asyncio.run(together())


def place_of(shard: Shard) -> Place:
    return shard_place(shard.engine.engine_id, shard.shard_id)


def rows_of(folder: Path, shard: Shard) -> list[dict]:
    """The rows of a shard's part, without the time that they took."""
    names = [name for name in SAMPLES.names if name != "wall_s"]
    store = Store(str(folder))
    return store.read_samples([place_of(shard)], names).to_pylist()


def fills(row: dict, budget: int) -> bool:
    """Whether a trace thought until this budget was full."""
    (answer,) = [answer for answer in row["answers"] if answer["token_budget"] == budget]
    return answer["thinking_tokens"] == budget


def tokens_in(rows: Iterable[dict]) -> int:
    """Tokens of the rows' traces and forks. An answer that serves several budgets counts once."""
    total = 0
    for row in rows:
        forks = {a["thinking_tokens"]: a["answer_tokens"] for a in row["answers"] if a["forced"]}
        total += row["trace_tokens"] + sum(forks.values())
    return total


@pytest.mark.parametrize(
    ("way", "backend"), [*((way, "torch") for way in WAYS), ("plain", "fake")], ids="-".join
)
def test_rows_are_those_of_a_run_that_made_them_at_once(way: str, backend: str, tmp_path: Path):
    shard = a_shard(WAYS[way], backend)
    Actor(tmp_path / "whole", shard).run(shard)
    expected = rows_of(tmp_path / "whole", shard)
    actor = Actor(tmp_path, shard)
    shorter, kept = [up_to(1, shard), up_to(3, shard)], False
    actor.run(*shorter)
    for first in shorter:
        actor.asked = 0
        (receipt,) = actor.run(replace(shard, shorter=(place_of(first),)))
        assert rows_of(tmp_path, shard) == expected
        assert actor.asked == sum(fills(row, first.decoding.token_budgets[-1]) for row in expected)
        assert receipt.samples == shard.samples
        assert receipt.tokens + receipt.kept_tokens == tokens_in(expected)
        kept = bool(receipt.kept_tokens)
    finishes = {row["finish"] for row in expected}
    assert finishes == ({"budget"} if way == "wait" else {"budget", "stop"})
    assert kept == (way != "wait")


def test_only_traces_that_were_cut_are_decoded_again_and_counted(tmp_path: Path):
    shard = a_shard()
    actor, first = Actor(tmp_path, shard), up_to(2, shard)
    (before,) = actor.run(first)
    actor.asked = 0
    (after,) = actor.run(replace(shard, shorter=(place_of(first),)))
    cut = [row for row in rows_of(tmp_path, first) if row["finish"] == "budget"]
    again = {(row["question_id"], row["sample_index"]) for row in cut}
    rows = rows_of(tmp_path, shard)
    assert actor.asked == len(cut)
    made = [row for row in rows if (row["question_id"], row["sample_index"]) in again]
    assert after.tokens == tokens_in(made)
    assert before.tokens == tokens_in(rows_of(tmp_path, first))
    (part,) = Store(str(tmp_path)).read_notes(place_of(shard).file)
    assert (part.tokens, part.kept_tokens) == (after.tokens, after.kept_tokens)


def test_of_several_shorter_parts_the_longest_trace_of_a_sample_counts(tmp_path: Path):
    shard = a_shard()
    actor, shorter = Actor(tmp_path, shard), (up_to(1, shard), up_to(3, shard))
    actor.run(*shorter)
    alone, both = [], []
    for names, found in [(shorter[1:], alone), (shorter, both), (shorter[::-1], both)]:
        actor.asked = 0
        actor.run(replace(shard, shorter=tuple(map(place_of, names))))
        found.append(actor.asked)
    assert both == alone * 2


def remove(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 3] ^= 0xFF
    path.write_bytes(whole)


def replace_by_another(path: Path) -> None:
    pq.write_table(SAMPLES.empty_table(), path)


def test_shorter_samples_are_found_in_a_compacted_file(tmp_path: Path):
    shard = a_shard()
    Actor(tmp_path / "whole", shard).run(shard)
    actor, first, other = Actor(tmp_path, shard), up_to(1, shard), up_to(3, shard)
    actor.run(first, other)
    store, engine_id = Store(str(tmp_path)), shard.engine.engine_id
    streams = {one.stream_id: shard.benchmark for one in (first, other)}
    assert compact_engine(store, engine_id, streams).files == 2
    actor.asked = 0
    actor.run(replace(shard, shorter=(place_of(first), place_of(other))))
    assert actor.asked < shard.samples
    assert rows_of(tmp_path, shard) == rows_of(tmp_path / "whole", shard)


@pytest.mark.parametrize("spoil", [remove, damage, replace_by_another])
def test_samples_of_a_part_that_cannot_be_read_are_made(spoil, tmp_path: Path):
    shard = a_shard()
    Actor(tmp_path / "whole", shard).run(shard)
    actor, first = Actor(tmp_path, shard), up_to(2, shard)
    actor.run(first)
    spoil(tmp_path / place_of(first).file)
    actor.asked = 0
    actor.run(replace(shard, shorter=(place_of(first),)))
    assert actor.asked == shard.samples
    assert rows_of(tmp_path, shard) == rows_of(tmp_path / "whole", shard)


def differing(shard: Shard) -> dict[str, Shard]:
    """Shards whose samples are others than the given one's."""
    first, *others = shard.questions
    asked = replace(first, prompt="Something else?")
    read = replace(first, rendered=f"Hello! {first.rendered}")
    return {
        "seed": replace(shard, decoding=replace(shard.decoding, seed=1)),
        "answers": replace(shard, decoding=replace(shard.decoding, answer_tokens=5)),
        "question": replace(shard, questions=(asked, *others)),
        "prompt": replace(shard, questions=(read, *others)),
    }


@pytest.mark.parametrize("what", ["seed", "answers", "question", "prompt"])
def test_samples_that_do_not_begin_alike_are_made(what: str, tmp_path: Path):
    shard = a_shard(backend="fake")
    other = differing(shard)[what]
    actor, first = Actor(tmp_path, shard), up_to(3, other)
    actor.run(first)
    actor.asked = 0
    actor.run(replace(shard, shorter=(place_of(first),)))
    lost = shard.sample_count if what in ("question", "prompt") else shard.samples
    Actor(tmp_path / "whole", shard).run(shard)
    assert actor.asked >= lost
    assert rows_of(tmp_path, shard) == rows_of(tmp_path / "whole", shard)


def test_where_traces_made_again_differ_none_is_kept(tmp_path: Path):
    """Else those that were cut would have a second chance to end early."""
    shard = a_shard(backend="fake")
    actor, first = Actor(tmp_path, shard), up_to(3, shard)
    add = actor.engine.add

    def seeded(trace: Trace) -> Trace:
        return replace(trace, reproducible="seeded")

    actor.engine.add = lambda request, done: add(request, lambda trace: done(seeded(trace)))
    actor.run(first)
    actor.asked = 0
    (receipt,) = actor.run(replace(shard, shorter=(place_of(first),)))
    assert (actor.asked, receipt.kept_tokens) == (shard.samples, 0)


def test_a_trace_that_was_given_up_or_found_in_a_loop_at_its_end_is_not_over():
    made = map(fake_trace, requests(chain.questions(20, seed=1), PLAIN).values())
    traces = {trace.finish: trace for trace in made}
    over, cut = traces["stop"], traces["budget"]
    assert ended_by_itself(over) and not ended_by_itself(cut)
    assert not ended_by_itself(replace(cut, finish="loop"))
    assert not ended_by_itself(replace(over, finish="deadline"))
    late = (*over.answers[:-1], replace(over.answers[-1], given_up=True))
    assert not ended_by_itself(replace(over, answers=late))


def test_of_a_continued_trace_only_the_continuation_counts_as_decoded(tmp_path: Path):
    shard = a_shard(backend="fake")
    actor, first = Actor(tmp_path, shard), up_to(3, shard)
    (before,) = actor.run(first)
    add = actor.engine.add

    def continued(request, done) -> None:
        how = "resumed" if request.begun else "batch_invariant"
        add(request, lambda trace: done(replace(trace, reproducible=how)))

    actor.engine.add, actor.engine.continues = continued, True
    (after,) = actor.run(replace(shard, shorter=(place_of(first),)))
    rows = rows_of(tmp_path, shard)
    assert {row["reproducible"] for row in rows} == {"batch_invariant", "resumed"}
    assert before.tokens + after.tokens == tokens_in(rows)
    assert after.kept_tokens == before.tokens

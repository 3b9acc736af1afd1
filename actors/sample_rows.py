"""From graded traces to a part of samples: one row per trace, in the columns of `schemas.SAMPLES`.

Only here does a trace become a row. The engine's actor calls `publish` when all traces of a shard are
done. The answers of a shard are then graded together.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property

import pyarrow as pa

from actors.engine import BudgetAnswer, Trace
from actors.engine_metrics import ActorMetrics
from raysweep import grading
from raysweep.shard import Shard, sample_key
from raysweep.storage.part import Part, gold_name, prompt_name
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store
from raysweep.system.workers import Workers

Traces = dict[tuple[int, int], Trace]  # by question number and sample index


@dataclass(frozen=True)
class Work:
    """The traces of a shard, with the engine's time in seconds and the kind of GPU.

    kept_tokens  tokens of these traces that were decoded for earlier parts
    """

    shard: Shard
    traces: Traces
    engine_s: float = 0.0
    device: str = ""
    kept_tokens: int = 0

    @cached_property
    def tokens(self) -> int:
        """Tokens that were decoded for this shard."""
        return sum(map(generated_tokens, self.traces.values())) - self.kept_tokens


def generated_tokens(trace: Trace) -> int:
    """Tokens decoded for a trace and all its forks; an answer that serves several budgets counts once."""
    forks = {
        (
            answer.thinking_tokens,
            answer.thinking_tokens == answer.token_budget,
        ): answer.answer_tokens
        for answer in trace.answers
        if answer.forced
    }
    return len(trace.token_ids) + sum(forks.values())


def publish(store: Store, work: Work, graders: Workers, metrics: ActorMetrics) -> None:
    """Grade a shard's traces and write them as its part."""
    shard, cells = work.shard, sorted(work.traces.items())
    said = [
        grading.Said(answer.text, answer.ended, shard.questions[number].gold, answer.given_up)
        for (number, _), trace in cells
        for answer in trace.answers
    ]
    started = time.perf_counter()
    graded = iter(grading.grade_all(shard.grader, said, graders))
    metrics.graded(time.perf_counter() - started, len(said))
    rows = [_row(shard, *cell, trace, graded) for cell, trace in cells]
    store.write_part(_part(work), pa.Table.from_pylist(rows, schema=SAMPLES))


def _row(
    shard: Shard, number: int, index: int, trace: Trace, graded: Iterator[grading.Graded]
) -> dict:
    """A row of the sample table; takes one grade from `graded` for each of the trace's answers."""
    question = shard.questions[number]
    return {
        "engine_id": shard.engine.engine_id,
        "benchmark": shard.benchmark,
        "question_id": question.question_id,
        "sample_index": index,
        "seed": sample_key(shard.decoding.seed, question.question_id, index),
        "prompt_tokens": trace.prompt_tokens,
        "trace_tokens": len(trace.token_ids),
        "finish": trace.finish,
        "waits": trace.waits,
        "token_ids": trace.token_ids,
        "answers": [_answer(answer, next(graded)) for answer in trace.answers],
        "reused_tokens": trace.reused_tokens,
        "recomputed_tokens": trace.recomputed_tokens,
        "reproducible": trace.reproducible,
        "wall_s": trace.wall_s,
    }


def _answer(answer: BudgetAnswer, graded: grading.Graded) -> dict:
    return {**asdict(answer), "answer": graded.answer, "outcome": graded.outcome}


def _part(work: Work) -> Part:
    shard = work.shard
    return Part(
        engine_id=shard.engine.engine_id,
        shard_id=shard.shard_id,
        stream_id=shard.stream_id,
        questions={question.question_id: question.asked for question in shard.questions},
        prompts={
            question.question_id: prompt_name(question.rendered) for question in shard.questions
        },
        golds={question.question_id: gold_name(question.gold) for question in shard.questions},
        graders=dict.fromkeys(
            (question.question_id for question in shard.questions), grading.tag(shard.grader)
        ),
        sample_start=shard.sample_start,
        sample_count=shard.sample_count,
        tokens=work.tokens,
        engine_s=work.engine_s,
        device=work.device,
        kept_tokens=work.kept_tokens,
    )

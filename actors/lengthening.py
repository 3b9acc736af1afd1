"""Samples that finished parts hold already, up to fewer token budgets, and what becomes of them.

A trace that ended its thinking by itself is the trace that a run with larger budgets would have made, and its
last answer is the answer at all of these. A trace that was cut is continued by an engine that can, and
otherwise made again.

Where a trace that is made again is not the same, because rounding depends on the batch or a server takes no
seed, no trace is kept unless the cut ones are continued. If those that ended were kept while the others had a
second chance to end, short traces would be too many.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from actors.engine import BudgetAnswer, Trace
from actors.sample_requests import RESUMED
from actors.sample_rows import Traces
from raysweep.errors import ConfigError
from raysweep.shard import Cell, Shard, cells
from raysweep.storage.part import Part, prompt_name
from raysweep.storage.store import Store

# How thinking may have ended by itself, in the words of `Trace.finish`.
BY_ITSELF = ("stop", "loop", "end")


def shorter_traces(store: Store, shard: Shard) -> dict[Cell, Trace]:
    """The shard's samples as the parts `shard.shorter` have them.

    A part that is missing, damaged or of other samples has none. Of a sample in several parts the longest
    trace counts.
    """
    found: dict[Cell, Trace] = {}
    wanted = set(cells(shard))
    for place in shard.shorter:
        try:
            part, table = store.read_whole_part(place)
        except ConfigError:
            continue
        held = wanted & _held(shard, part)
        for cell, trace in _traces(table.to_pylist()):
            longer = cell not in found or len(trace.answers) > len(found[cell].answers)
            if cell in held and longer:
                found[cell] = trace
    return found


@dataclass(frozen=True)
class Known:
    """What is known of a shard's traces.

    kept   those that are as they will be
    begun  those that an engine is to continue; it may find that it has to make one anew
    """

    kept: Traces
    begun: Traces

    def used(self, traces: Traces) -> list[Trace]:
        """Those that all the shard's traces, once they are made, have as their beginning or are."""
        begun = self.begun.items()
        resumed = (short for cell, short in begun if traces[cell].reproducible == RESUMED)
        return [*self.kept.values(), *resumed]


def known_traces(shard: Shard, shorter: Mapping[Cell, Trace], continues: bool) -> Known:
    """What becomes of the shard's samples up to fewer budgets.

    continues  whether the engine continues traces that were cut
    """
    kept: Traces = {}
    begun: Traces = {}
    for number, question in enumerate(shard.questions):
        for index in shard.indices:
            trace = shorter.get((question.question_id, index))
            if trace is None or not (continues or trace.reproducible == "batch_invariant"):
                continue
            if ended_by_itself(trace):
                kept[number, index] = lengthened(trace, shard.decoding.token_budgets)
            elif continues and was_cut(trace):
                begun[number, index] = trace
    return Known(kept, begun)


def was_cut(trace: Trace) -> bool:
    """Whether its thinking filled its largest budget, and all its answers are known."""
    last = trace.answers[-1]
    cut = len(trace.token_ids) == last.thinking_tokens == last.token_budget
    return cut and _all_answered(trace)


def ended_by_itself(trace: Trace) -> bool:
    """Whether its thinking ended before its largest budget, and all its answers are known."""
    last = trace.answers[-1]
    ended = trace.finish in BY_ITSELF and last.thinking_tokens < last.token_budget
    return ended and _all_answered(trace)


def _all_answered(trace: Trace) -> bool:
    return not any(answer.given_up for answer in trace.answers)


def lengthened(trace: Trace, token_budgets: Sequence[int]) -> Trace:
    """A trace that ended by itself, as it is with larger budgets too."""
    larger = token_budgets[len(trace.answers) :]
    added = (replace(trace.answers[-1], token_budget=budget) for budget in larger)
    return replace(trace, answers=(*trace.answers, *added))


def _held(shard: Shard, part: Part) -> set[Cell]:
    """The cells of a part whose samples begin as those of the shard do."""
    budgets = shard.decoding.token_budgets
    begun = (replace(shard.decoding, token_budgets=budgets[:n]) for n in range(1, len(budgets)))
    if part.stream_id not in {replace(shard, decoding=one).stream_id for one in begun}:
        return set()
    asked = {
        question.question_id
        for question in shard.questions
        if part.holds(question)
        and part.prompts.get(question.question_id) == prompt_name(question.rendered)
    }
    return {cell for cell in part.cells if cell[0] in asked}


def _traces(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Cell, Trace]]:
    """The traces of a part's rows, which `sample_rows` has written."""
    names = [field.name for field in fields(BudgetAnswer)]
    same = [field.name for field in fields(Trace) if field.name not in ("token_ids", "answers")]
    for row in rows:
        answers = ({name: answer[name] for name in names} for answer in row["answers"])
        yield (
            (row["question_id"], row["sample_index"]),
            Trace(
                token_ids=tuple(row["token_ids"]),
                answers=tuple(BudgetAnswer(**answer) for answer in answers),
                **{name: row[name] for name in same},
            ),
        )

"""The shipped models as the engine tests need them, and ways to run an engine to the end."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from actors.engine import Engine, Trace, TraceRequest
from raysweep.configuration.architecture import read_architecture
from raysweep.shard import sample_key
from raysweep.spec import Architecture, Decoding, Question, Sampling

MODELS = Path(__file__).parents[2] / "models"
BUDGETS = (8, 24, 40, 72)


def names() -> list[str]:
    return sorted(folder.name for folder in MODELS.iterdir() if (folder / "config.json").exists())


def smallest() -> str:
    return min(names(), key=lambda name: (MODELS / name / "model.safetensors").stat().st_size)


@cache
def architecture(name: str) -> Architecture:
    return read_architecture(MODELS / name / "config.json")


def decoding(
    temperature: float = 1.0, token_budgets: tuple[int, ...] = BUDGETS, top_p: float = 1.0
) -> Decoding:
    return Decoding(
        seed=0,
        sampling=Sampling(temperature, top_p),
        think_open="<think>\n",
        think_close="</think>",
        forced_closing="</think>\nThe answer is",
        answer_tokens=8,
        token_budgets=token_budgets,
    )


def requests(
    questions: Iterable[Question], way: Decoding, samples: int = 1
) -> dict[tuple[str, int], TraceRequest]:
    """One request for each (question id, sample index)."""
    return {
        (q.question_id, index): TraceRequest(
            q.prompt, sample_key(way.seed, q.question_id, index), way
        )
        for q in questions
        for index in range(samples)
    }


def run(engine: Engine, wanted: dict[Any, TraceRequest]) -> dict[Any, Trace]:
    """Step until every request has its trace."""
    traces: dict[Any, Trace] = {}
    for name, request in wanted.items():
        engine.add(request, lambda trace, name=name: traces.__setitem__(name, trace))
    while len(traces) < len(wanted):
        engine.step()
    return traces


def untimed(trace: Trace) -> tuple:
    """A trace without its timing."""
    return (trace.prompt_tokens, trace.token_ids, trace.finish, trace.answers)

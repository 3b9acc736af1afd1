"""Measures how fast answers are graded, and how fast all cores grade a finished run again.

    python -m benchmarks.grading                 about two minutes on two cores

Each grader gets answers that all differ, so no grade is reused. Then a run of 100,000 stored answers to 30
questions is graded again, and a share of the answers needs algebra. The first pass is as after a correction
of the grader, and rewrites every part. The second pass changes nothing. Both run with one process and with
one per core.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from actors.kv.full import Full
from raysweep import grading
from raysweep.grading import Said, sandbox
from raysweep.planning.plan import make_plan
from raysweep.run_config import Cluster, Generation, Prepare, RunConfig, Sweep
from raysweep.shard import Shard
from raysweep.spec import Architecture, Benchmark, Family, ModelSpec, Question, Sampling, WeightSpec
from raysweep.storage.part import Part
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store
from raysweep.system.content import content_hash
from raysweep.system.workers import Workers
from raysweep.upkeep.regrade import regrade_run

ARCHITECTURE = Architecture(64, 2, 2, 1, 32, 128, 128, True, 8192)
OPENER = "**Final Answer**\n\\boxed{"
QUESTIONS, BUDGETS = 30, 8


@dataclass(frozen=True)
class Scale:
    """How much is measured. `algebra` is the share of stored answers that are not plain numbers."""

    plain: int = 50_000
    algebra_answers: int = 1_000
    programs: int = 100
    stored: int = 100_000
    algebra: float = 0.05


def plain_answers(count: int) -> list[Said]:
    return [Said(f"{OPENER}{i}}}", True, "70") for i in range(count)]


def algebraic_answers(count: int) -> list[Said]:
    return [Said(f"{OPENER}{algebraic(i)}}}", True, r"3\sqrt{2}+1") for i in range(count)]


def algebraic(number: int) -> str:
    r"""One of several kinds of expression: \sqrt, \pi, a fraction of roots, a set, a polynomial."""
    kinds = (
        rf"{number}\sqrt{{2}}+1",
        rf"\frac{{{number}\pi}}{{7}}",
        rf"\frac{{\sqrt{{{number}}}}}{{3}}",
        rf"\{{{number}, {number + 1}\}}",
        f"x^2+{number}x-1",
    )
    return kinds[number % len(kinds)]


def words(text: str) -> Callable[[int], list[Said]]:
    return lambda count: [Said(f"Case {i}: {text}", True, "B") for i in range(count)]


def programs(count: int) -> list[Said]:
    """Programs with one test each, which they pass."""
    gold = json.dumps({"tests": [{"input": "20\n", "output": "42\n"}]})
    return [
        Said(f"```python\na = {i}\nprint(int(input()) + 22)\n```", True, gold) for i in range(count)
    ]


def graders(scale: Scale) -> Iterator[tuple[str, str, list[Said]]]:
    """The rows of the table: a name, the grader, its answers."""
    yield "integer", "integer", plain_answers(scale.plain)
    yield "choice, a sentence", "choice", words("The answer is **B**.")(scale.plain)
    yield "mathematics, plain numbers", "mathematics", plain_answers(scale.plain)
    yield "mathematics, algebra", "mathematics", algebraic_answers(scale.algebra_answers)
    if not sandbox.trouble():
        yield "code, one test in the sandbox", "code", programs(scale.programs)


def rate(grader: str, said: Sequence[Said], processes: int) -> float:
    """Answers per second with up to `processes` worker processes, which are started before."""
    with Workers(processes) as workers:
        grading.grade_all(grader, said[: 2 * processes], workers)
        started = time.perf_counter()
        grading.grade_all(grader, said, workers)
        return len(said) / (time.perf_counter() - started)


def a_run() -> RunConfig:
    """One engine on one mathematics benchmark."""
    questions = tuple(Question(f"q{i:02d}", f"{i}?", str(i)) for i in range(QUESTIONS))
    sweep = Sweep(
        models=(ModelSpec("toy", Family("toys", Sampling(1.0)), "", "1", ARCHITECTURE),),
        weights=(WeightSpec("bf16", 16),),
        kv_policies=(Full(),),
        benchmarks=(Benchmark("sums", questions, "mathematics", OPENER, 16),),
        token_budgets=tuple(range(1000, 1000 * BUDGETS + 1, 1000)),
        group_sizes=(1,),
        batch_sizes=(1,),
        samples=1,
        backend="fake",
    )
    cut = Generation(max_rows=1, shard_questions=QUESTIONS // 3, shard_samples=32, max_attempts=1)
    prepare, cluster = Prepare("checkpoints", None), Cluster("local", 1, 1.0, 0.0)
    return RunConfig("", "grading", 0, ("regrade",), sweep, prepare, cut, cluster)


def store_answers(config: RunConfig, store: Store, scale: Scale) -> RunConfig:
    """Write at least `scale.stored` ungraded answers. Returns the configuration of their run."""
    samples = -(-scale.stored // (QUESTIONS * BUDGETS))
    config = replace(config, sweep=replace(config.sweep, samples=samples))
    rng = random.Random(0)
    for shard in make_plan(config, []).to_do:
        rows = [_row(shard, question, rng, scale) for question in _questions(shard)]
        questions = {question.question_id: content_hash(question) for question in shard.questions}
        names = shard.engine.engine_id, shard.shard_id, shard.stream_id
        part = Part(*names, questions, shard.sample_start, shard.sample_count)
        store.write_part(part, pa.Table.from_pylist(rows, schema=SAMPLES))
    return config


def _questions(shard: Shard) -> Iterator[Question]:
    for question in shard.questions:
        yield from [question] * shard.sample_count


def _row(shard: Shard, question: Question, rng: random.Random, scale: Scale) -> dict:
    answers = []
    for budget in shard.decoding.token_budgets:
        number = rng.randrange(1000)
        said = algebraic(number) if rng.random() < scale.algebra else number
        # The random number after the box makes nearly every text unique.
        text = f"{OPENER}{said}}}, case {rng.randrange(10**9)}."
        answers.append({"token_budget": budget, "text": text, "ended": True, "outcome": "error"})
    return {"question_id": question.question_id, "token_ids": range(2000), "answers": answers}


def regrade(config: RunConfig, store: Store, processes: int) -> tuple[int, float]:
    """The number of graded answers, and the seconds including the start of the processes."""
    started = time.perf_counter()
    with Workers(processes) as workers:
        (changes,) = regrade_run(config, store.parts(), store, workers).values()
    return changes.answers, time.perf_counter() - started


def regrading(scale: Scale, processes: Iterable[int]) -> Iterator[list[str]]:
    """Lines for each number of processes: seconds and answers per second, with and without changes."""
    for count in processes:
        with tempfile.TemporaryDirectory() as folder:
            store = Store(folder)
            config = store_answers(a_run(), store, scale)
            for label in ("after a correction", "nothing to change"):
                answers, wall_s = regrade(config, store, count)
                numbers = f"{answers:,}", f"{wall_s:.1f}", f"{answers / wall_s:,.0f}"
                yield [f"{label}, {count} process{'es' * (count > 1)}", *numbers]


def report(scale: Scale, cores: int) -> str:
    """Measure everything. Returns the tables as Markdown."""
    processes = sorted({1, cores})
    rates = [
        [name, f"{len(said):,}", *(f"{rate(grader, said, count):,.0f}" for count in processes)]
        for name, grader, said in graders(scale)
    ]
    counts = [f"{count} process{'es' * (count > 1)}" for count in processes]
    return "\n".join(
        [
            "## Answers per second",
            "",
            *markdown(["grader", "answers", *counts], rates),
            "",
            f"## Regrading a run in which {scale.algebra:.0%} of the answers need algebra",
            "",
            *markdown(["", "answers", "seconds", "answers/s"], regrading(scale, processes)),
        ]
    )


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    rows = [head, ["---", *["---:"] * (len(head) - 1)], *lines]
    return ["| " + " | ".join(row) + " |" for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--answers", type=int, default=Scale.stored, help="stored answers to regrade"
    )
    parser.add_argument("--out", type=Path, help="a file to which the tables are also written")
    arguments = parser.parse_args()
    text = report(Scale(stored=arguments.answers), os.cpu_count() or 1)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()

"""Draws the finished folder of `+sweep=full`, and measures each stage on it. No model runs.

    python -m benchmarks.full_size draw runs/drawn        40,182 parts, a few minutes
    python -m benchmarks.full_size measure runs/drawn     each stage in a process of its own

The plan is that of 64 GPUs. Answers come from worlds in which Qwen3 is as accurate as its report says
(`coupled_worlds`), on invented questions in the forms of AIME25 and GPQA-Diamond. A trace has 64 token ids
instead of some 30,000, so what reads all bytes (verify, regrade) takes longer on a real folder, and what
reads notes or answers does not. `--times 10` draws ten times the samples per question, and so ten times the
parts.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pyarrow as pa

from benchmarks import coupled_worlds
from benchmarks.configured import configured
from benchmarks.planted_worlds import TOKEN_BUDGETS, study_grid
from raysweep import grading, memory
from raysweep.planning.plan import make_plan
from raysweep.run_config import RunConfig
from raysweep.shard import Shard, sample_key
from raysweep.storage.part import Part, gold_name, prompt_name
from raysweep.storage.schemas import ANSWER, SAMPLES
from raysweep.storage.store import Store
from raysweep.system.quantities import human_bytes

SAMPLES_A_QUESTION = 16
TOKEN_IDS = 64
CHOICES = np.array(list("ABCD"))
TEXT = "\n**Final Answer**\n\\boxed{"

# What a user runs over a finished folder, in the order in which it is measured.
STAGES = ("plan", "status", "reduce", "reduce", "report", "recommend", "plan,generate", "")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="The finished folder of +sweep=full, drawn and measured."
    )
    parser.add_argument("what", choices=("draw", "measure"))
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--times", type=int, default=1, help="how often as many samples per question"
    )
    parser.add_argument("--every", type=int, default=1, help="draw only each n-th part")
    parser.add_argument("--stages", nargs="+", default=STAGES, help="what is measured")
    given = parser.parse_args()
    if given.what == "draw":
        draw(given.folder, given.times, given.every)
    else:
        for stages in given.stages:
            print(measured(given.folder, given.times, stages), flush=True)


def overrides(folder: Path, times: int) -> list[str]:
    """The command's arguments for the drawn run."""
    sources = {"aime25": "aime25.jsonl", "gpqa-diamond": "gpqa_diamond.csv"}
    benchmarks = ", ".join(
        f"{{name: {name}, source: {{path: {(folder / file).resolve()}}}}}"
        for name, file in sources.items()
    )
    return [
        *(
            "+sweep=full",
            "sweep.backend=fake",
            "cluster.gpus=64",
            "cluster.address=local",
            f"out={folder.resolve()}",
        ),
        *(f"sweep.samples={SAMPLES_A_QUESTION * times}", f"sweep.benchmarks=[{benchmarks}]"),
    ]


def draw(folder: Path, times: int, every: int) -> None:
    """Write the questions, and every part of the run."""
    folder.mkdir(parents=True, exist_ok=True)
    write_questions(folder)
    os.fsync = lambda fd: None  # drawn data need not outlast a power cut
    config = configured(*overrides(folder, times))
    store, shards = Store(f"{config.out}/{config.run}"), make_plan(config, []).to_do[::every]
    started, drawn = time.monotonic(), _Answers(config)
    for number, shard in enumerate(shards, 1):
        store.write_part(_part(shard), drawn.table(shard))
        if number % 2_000 == 0:
            print(
                f"{number:,} of {len(shards):,} parts, {time.monotonic() - started:.0f} s",
                flush=True,
            )
    print(f"{len(shards):,} parts, {sum(shard.samples for shard in shards):,} samples")


def write_questions(folder: Path) -> None:
    with (folder / "aime25.jsonl").open("w") as lines:
        for i in range(30):
            row = {
                "id": f"aime25-{i}",
                "problem": f"What is {i} plus {3 * i}?",
                "answer": str(4 * i),
            }
            print(json.dumps(row), file=lines)
    with (folder / "gpqa_diamond.csv").open("w", newline="") as lines:
        rows = csv.writer(lines)
        wrong = [f"Incorrect Answer {number}" for number in (1, 2, 3)]
        rows.writerow(["Record ID", "Question", "Correct Answer", *wrong])
        for i in range(198):
            said = [f"Which statement about process {i} is right?", f"right {i}"]
            rows.writerow([f"rec{i:04}", *said, *(f"wrong {letter} {i}" for letter in "abc")])


def _part(shard: Shard) -> Part:
    names = [question.question_id for question in shard.questions]
    return Part(
        engine_id=shard.engine.engine_id,
        shard_id=shard.shard_id,
        stream_id=shard.stream_id,
        questions={question.question_id: question.asked for question in shard.questions},
        prompts={name: prompt_name(name) for name in names},
        golds={question.question_id: gold_name(question.gold) for question in shard.questions},
        graders=dict.fromkeys(names, grading.tag(shard.grader)),
        sample_start=shard.sample_start,
        sample_count=shard.sample_count,
        tokens=shard.samples * TOKEN_BUDGETS[-1],
        engine_s=shard.samples * TOKEN_BUDGETS[-1] / 1_500,
        device="H100",
    )


@dataclass(frozen=True)
class _Benchmark:
    """What is drawn of a benchmark.

    choices  answers of each engine: 0 is right, 1 the common wrong one, 2 to 9 others:
             [engines, budgets, questions, samples]
    """

    places: dict[str, int]
    choices: np.ndarray


class _Answers:
    """The answers of all engines, and parts made of them."""

    def __init__(self, config: RunConfig):
        self._seed = config.seed
        self._rng = np.random.default_rng(1)
        self._engines = {_key(engine): at for at, engine in enumerate(study_grid().engines)}
        self._of = {one.name: self._drawn(one) for one in config.sweep.benchmarks}

    def _drawn(self, benchmark) -> _Benchmark:  # pyright: ignore[reportMissingParameterType]
        names = [question.question_id for question in benchmark.questions]
        world = coupled_worlds.like_published(benchmark.name)
        samples = coupled_worlds.draw(world, len(names), 7, SAMPLES_A_QUESTION)
        other = self._rng.integers(2, 10, samples.common.shape, dtype=np.int8)
        wrong = np.where(samples.common, np.int8(1), other)[:, None]
        choices = np.where(samples.right, np.int8(0), wrong)
        return _Benchmark({name: at for at, name in enumerate(names)}, choices)

    def table(self, shard: Shard) -> pa.Table:
        """The samples of a shard."""
        own, n = self._of[shard.benchmark], shard.samples
        questions = np.repeat(
            [own.places[q.question_id] for q in shard.questions], shard.sample_count
        )
        indices = np.tile(shard.sample_start + np.arange(shard.sample_count), len(shard.questions))
        at = self._engines[_key(shard.engine)]
        # [samples, budgets]
        choice = own.choices[at][:, questions, indices % SAMPLES_A_QUESTION].T
        names = [
            question.question_id for question in shard.questions for _ in range(shard.sample_count)
        ]
        columns = {
            "engine_id": pa.array([shard.engine.engine_id] * n),
            "benchmark": pa.array([shard.benchmark] * n),
            "question_id": pa.array(names),
            "sample_index": indices,
            "seed": np.array(
                [
                    sample_key(self._seed, *cell)
                    for cell in zip(names, indices.tolist(), strict=True)
                ],
                dtype=np.int64,
            ),
            "prompt_tokens": self._rng.integers(120, 200, n),
            "trace_tokens": np.full(n, TOKEN_IDS),
            "finish": pa.array(["budget"] * n),
            "waits": self._rng.integers(0, 9, n),
            "token_ids": _lists(self._rng.integers(0, 150_000, n * TOKEN_IDS, dtype=np.int32), n),
            "answers": _lists(_answers(shard, choice), n),
            "reused_tokens": np.zeros(n, np.int64),
            "recomputed_tokens": np.zeros(n, np.int64),
            "reproducible": pa.array(["batch_invariant"] * n),
            "wall_s": self._rng.random(n) * 600,
        }
        return pa.table(columns).cast(SAMPLES)


def _key(engine) -> tuple[str, str, str]:  # pyright: ignore[reportMissingParameterType]
    return engine.model.name, engine.weights.slug, engine.kv_policy.slug


def _lists(values: np.ndarray | pa.Array, n: int) -> pa.ListArray:
    offsets = np.arange(n + 1, dtype=np.int32) * (len(values) // n)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def _answers(shard: Shard, choice: np.ndarray) -> pa.StructArray:
    """The answers of each sample at each budget, in one sequence."""
    n, budgets = choice.shape
    golds = [question.gold for question in shard.questions for _ in range(shard.sample_count)]
    said = np.array([_said(gold, shard.benchmark) for gold in golds])
    answer = said[np.arange(n)[:, None], choice].ravel()
    tokens = np.tile(TOKEN_BUDGETS, n)
    cache = (shard.engine.model.architecture, shard.engine.kv_policy)
    kv_bytes = [memory.kv_bytes(*cache, budget + 150) for budget in TOKEN_BUDGETS]
    outcome = np.where(
        choice.ravel() == 0, "correct", np.where(choice.ravel() < 9, "wrong", "cut_off")
    )
    columns = [
        *(tokens, tokens, np.ones(n * budgets, bool)),
        pa.array(np.char.add(np.char.add(TEXT, answer), "} This follows from the steps above.")),
        *(outcome != "cut_off", np.zeros(n * budgets, bool)),
        pa.array(answer, mask=outcome == "cut_off"),
        *(pa.array(outcome), np.full(n * budgets, 12), np.tile(kv_bytes, n)),
    ]
    return pa.StructArray.from_arrays([pa.array(column) for column in columns], fields=list(ANSWER))


def _said(gold: str, benchmark: str) -> list[str]:
    """The right answer, and nine that are wrong."""
    if benchmark == "aime25":
        return [str((int(gold) + 7 * step) % 1_000) for step in range(10)]
    others = [letter for letter in CHOICES if letter != gold]
    return [gold, *(others[step % 3] for step in range(9))]


def measured(folder: Path, times: int, stages: str) -> str:
    """A line on a command: its seconds, its peak memory, what it printed and its exit status."""
    command = [sys.executable, "-m", "raysweep", *overrides(folder, times)]
    command += [f"stages=[{stages}]"] if stages else []
    command += ["recommend.memory_gb=24"] if "recommend" in stages else []
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with TemporaryFile() as said:
        with subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as process:
            peak = max(_peaks(process), default=0)
        said.seek(0)
        printed = said.read().count(b"\n")
    wall_s, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (
        f"{stages or 'the whole command':<20} {wall_s:7.1f} s wall {cpu_s:7.1f} s CPU "
        f"{human_bytes(peak):>9} {printed:5} lines, status {process.returncode}"
    )


def _peaks(process: subprocess.Popen[bytes]) -> Iterator[int]:
    """The process's peak resident bytes, again and again until it ends."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        yield _peak(status.read_text().splitlines())
        time.sleep(0.1)


def _peak(lines: Sequence[str]) -> int:
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    return found[0] if found else 0


if __name__ == "__main__":
    main()

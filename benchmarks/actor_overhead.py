"""Measures the cost of the actor, Ray, grading and Parquet against vLLM's offline `LLM.generate`.

    .venv-vllm/bin/python -m benchmarks.actor_overhead --out runs/benchmark       about four minutes

Both get the same prompts with the same settings of vLLM and one thread each. LLM.generate decodes the traces
in one call and the answers at the token budgets in a second call. In one more measurement it decodes only
the traces. The actor runs shards, which it also grades and publishes as Parquet parts. Two processes are
loaded once and work in turns (A B C, A B C, ...), on new questions each time. The model is random and never
ends its text, so every way decodes exactly the requested number of tokens.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import ray

from actors.engine import TraceRequest
from actors.engine_actor import EngineActor
from actors.kv.full import Full
from actors.sample_requests import SampleRequests
from actors.trace_assembly import Sample
from benchmarks.engine import markdown
from benchmarks.subject import ANSWER_TOKENS, ARCHITECTURE, CLOSING, make_model
from raysweep.benchmarks import chain
from raysweep.configuration.chat import read_chat
from raysweep.driver.actor_environment import environment
from raysweep.driver.ray_session import ray_session
from raysweep.planning.lengths import shard_lengths
from raysweep.run_config import Cluster
from raysweep.shard import Receipt, Shard, sample_key
from raysweep.spec import (
    BF16,
    Checkpoint,
    Decoding,
    EngineSpec,
    Family,
    ModelSpec,
    Question,
    Sampling,
)

GREEDY = Sampling(temperature=0)
CLUSTER = Cluster("local", actors=2, cpus_per_actor=1, gpus_per_actor=0)


@dataclass(frozen=True)
class Scale:
    """How much is measured: traces per repeat, tokens per trace, rows that decode together, repeats."""

    traces: int = 64
    tokens: int = 512
    rows: int = 32
    shard_questions: int = 8
    forks: int = 8
    repeats: int = 5


class Offline:
    """vLLM's `LLM` with the settings that the actor gives to its engine."""

    def __init__(self, spec: EngineSpec, rows: int, tokens: int):
        from vllm import LLM, EngineArgs  # pyright: ignore[reportMissingImports]

        from actors.tokenization import Texts
        from actors.vllm_engine.loading import Limits, engine_args

        args = engine_args(spec, Limits(rows, tokens), spec.model.path, "auto", 1.0)
        defaults = EngineArgs(model=args.model)
        given = {field.name: getattr(args, field.name) for field in fields(args)}
        changed = {name: v for name, v in given.items() if v != getattr(defaults, name)}
        self.llm: Any = LLM(model=args.model, **changed)
        self.texts = Texts(spec.model.path, tokens)

    def generate(self, shards: tuple[Shard, ...], answers: bool) -> int:
        """Decode the traces of shards, and the answers if asked for. Returns the number of tokens."""
        from actors.vllm_engine.engine import sampling_params

        samples = [self._sample(s, q) for s in shards for q in s.questions]
        asked, tokens = [(sample, sample.first()) for sample in samples], 0
        while asked:
            prompts = [{"prompt_token_ids": list(request.prompt)} for _, request in asked]
            ways = [sampling_params(GREEDY, request) for _, request in asked]
            outputs = self.llm.generate(prompts, ways, use_tqdm=False)
            found = [list(output.outputs[0].token_ids) for output in outputs]
            tokens += sum(map(len, found))
            asked = [
                (sample, following)
                for (sample, request), said in zip(asked, found, strict=True)
                for following in (sample.take(request, said, cached=0) if answers else ())
            ]
        return tokens

    def _sample(self, shard: Shard, question: Question) -> SampleRequests:
        key = sample_key(shard.decoding.seed, question.question_id, 0)
        request = TraceRequest(question.rendered, key, shard.decoding)
        prompt = self.texts.encode_prompt(request)
        vocabulary = self.texts.vocabulary(request.decoding)
        sample = Sample(request, vocabulary, len(prompt), lambda trace: None)
        return SampleRequests(sample, prompt, lambda tokens: 0)


def a_spec(folder: Path) -> EngineSpec:
    model = ModelSpec("random", Family("random", GREEDY), str(folder), "1", ARCHITECTURE)
    return EngineSpec(model, BF16, Full(), "vllm", Checkpoint(str(folder), "1"))


def shards_of(
    spec: EngineSpec, scale: Scale, budgets: tuple[int, ...], repeat: int
) -> tuple[Shard, ...]:
    """The shards of one repeat."""
    way = Decoding(0, GREEDY, "<think>\n", "</think>", CLOSING, ANSWER_TOKENS, budgets)
    chat = read_chat(Path(spec.checkpoint.path), "model")
    questions = [
        replace(question, rendered=chat.prompt(question.prompt, spec.model.family))
        for question in chain.questions(scale.traces, seed=100 + repeat)
    ]
    return tuple(
        Shard(spec, f"chain-{repeat}", "integer", way, tuple(batch), 0, 1)
        for batch in _batches(questions, scale.shard_questions)
    )


def _batches(questions: list[Question], size: int) -> Iterator[list[Question]]:
    return (questions[start : start + size] for start in range(0, len(questions), size))


PEER, OURS = "LLM.generate", "actor, Ray, Parquet"
# Does the work of a repeat and returns tokens per second.
Way = Callable[[int], float]

# One rate per repeat, by name and number of budgets that are answered.
Rates = dict[tuple[str, int], list[float]]


def measure(scale: Scale, folder: Path) -> Rates:
    """Tokens per second of each way."""
    with ray_session(CLUSTER):
        ways = start(scale, a_spec(folder), folder)
        for way in ways.values():
            way(0)  # warm up
        rates: Rates = {name: [] for name in ways}
        for repeat, (name, way) in itertools.product(range(1, scale.repeats + 1), ways.items()):
            rates[name].append(way(repeat))
    return rates


def start(scale: Scale, spec: EngineSpec, folder: Path) -> dict[tuple[str, int], Way]:
    """Load both processes. Returns the ways to do the same work, with one budget and with several."""
    one, forked = (scale.tokens,), _evenly(scale.tokens, scale.forks)
    repeats = range(scale.repeats + 1)
    shards = (shard for repeat in repeats for shard in shards_of(spec, scale, one, repeat))
    most = shard_lengths(shards).within(spec.model.architecture).row
    options = {"num_cpus": 1, "runtime_env": {"env_vars": environment(spec, gpus=0)}}
    depth = 1 + -(-scale.rows // scale.shard_questions)  # as many shards as the driver queues
    remote: Any = ray.remote
    actors = remote(EngineActor).options(**options, max_concurrency=depth)
    actor = actors.remote(spec, str(folder / "run"), scale.rows, most, 0.0)
    offline = remote(Offline).options(**options).remote(spec, scale.rows, most)
    ray.get([actor.__ray_ready__.remote(), offline.__ray_ready__.remote()])

    def in_llm(budgets: tuple[int, ...], answers: bool, repeat: int) -> float:
        shards = shards_of(spec, scale, budgets, repeat)
        return _rate(lambda: ray.get(offline.generate.remote(shards, answers)))

    def in_actor(budgets: tuple[int, ...], repeat: int) -> float:
        shards = shards_of(spec, scale, budgets, repeat)
        return _rate(lambda: sum(r.tokens for r in _receipts(actor, shards)))

    return {
        (PEER, 0): partial(in_llm, one, False),
        (PEER, 1): partial(in_llm, one, True),
        (OURS, 1): partial(in_actor, one),
        (PEER, scale.forks): partial(in_llm, forked, True),
        (OURS, scale.forks): partial(in_actor, forked),
    }


def _receipts(actor: Any, shards: tuple[Shard, ...]) -> list[Receipt]:
    return ray.get([actor.run_shard.remote(shard) for shard in shards])


def _rate(work: Callable[[], Any]) -> float:
    """Tokens per second of `work`, which returns the number of tokens."""
    started = time.perf_counter()
    tokens = work()
    return tokens / (time.perf_counter() - started)


def _evenly(tokens: int, parts: int) -> tuple[int, ...]:
    return tuple(tokens * (part + 1) // parts for part in range(parts))


def table(rates: Rates) -> list[str]:
    """Median and spread of each way, and the medians of its ratios to LLM.generate over the repeats."""
    lines = []
    for (who, budgets), ours in rates.items():
        name = f"{who}: traces, answers at {budgets} budgets" if budgets else f"{who}: traces"
        spread = f"{statistics.median(ours):,.0f} ({min(ours):,.0f}–{max(ours):,.0f})"
        ratios = [_ratio(ours, rates[PEER, 0]), _ratio(ours, rates[PEER, budgets])]
        lines.append([name, spread, *ratios])
    head = ["", "tokens/s, median (min–max)", f"{PEER}: traces", f"{PEER}: the same"]
    return markdown(head, lines)


def _ratio(ours: list[float], theirs: list[float]) -> str:
    return f"{statistics.median(a / b for a, b in zip(ours, theirs, strict=True)):.2f} ×"


def report(scale: Scale, out: Path) -> str:
    """Measure, and write the table into `out`. Returns it as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder))
        rates = measure(scale, Path(folder))
    head = (
        f"## {scale.traces} traces of {scale.tokens} tokens, {scale.rows} at a time; "
        f"{scale.repeats} repeats in turns"
    )
    text = "\n".join([head, "", *table(rates), ""])
    out.mkdir(parents=True, exist_ok=True)
    (out / "actor_overhead.md").write_text(text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--repeats", type=int, default=Scale.repeats)
    arguments = parser.parse_args()
    print(report(Scale(repeats=arguments.repeats), arguments.out))


if __name__ == "__main__":
    main()

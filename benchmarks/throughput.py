"""raysweep end to end beside the engine alone: what scheduling, grading and writing cost.

    python -m benchmarks.throughput        about five minutes on two cores

The same traces of a shipped model are made by the engine alone in a process of its own, and by all of
raysweep (schedule, actor, grading, Parquet) with one actor and with two. The three take turns, several times.
Starting Ray and loading the engine is left out on both sides. For raysweep the clock runs from the first
loaded actor to the last receipt.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.configured import configured
from raysweep.configuration.prompts import rendered_prompts, with_prompts
from raysweep.planning.lengths import run_lengths
from raysweep.planning.plan import make_plan
from raysweep.run_config import RunConfig
from raysweep.scheduling.loop import Event, Finished, Loaded
from raysweep.scheduling.schedule import Schedule
from raysweep.shard import Shard
from raysweep.storage.store import Store

RAW = """
import sys, time
from benchmarks.throughput import config_of, shards_of
from actors.engine import TraceRequest
from actors.engine_actor import load_engine
from actors.sample_rows import generated_tokens
from raysweep.shard import sample_key

shards = shards_of(config_of(int(sys.argv[1]), int(sys.argv[2]), "."))
engine = load_engine(shards[0].engine, int(sys.argv[1]))
traces, wanted = [], sum(shard.samples for shard in shards)
started = time.perf_counter()
for shard in shards:
    for question in shard.questions:
        for index in shard.indices:
            key = sample_key(shard.decoding.seed, question.question_id, index)
            engine.add(TraceRequest(question.rendered, key, shard.decoding), traces.append)
while len(traces) < wanted:
    engine.step()
print(sum(map(generated_tokens, traces)), time.perf_counter() - started)
"""


def config_of(rows: int, samples: int, out: str) -> RunConfig:
    """One engine, one benchmark, as many samples as asked for."""
    return configured(
        f"out={out}",
        "run=throughput",
        "sweep.models=[tiny-755k]",
        "sweep.weights=[bf16]",
        "sweep.kv_policies=[full]",
        "sweep.benchmarks=[chain]",
        "sweep.group_sizes=[1]",
        f"sweep.samples={samples}",
        "sweep.backend=torch",
        f"generation.max_rows={rows}",
    )


def shards_of(config: RunConfig) -> tuple[Shard, ...]:
    shards = make_plan(config, ()).to_do
    return with_prompts(shards, rendered_prompts(config, shards, fetch=False))


def raw(rows: int, samples: int) -> float:
    """Tokens per second of the engine alone."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RAW, str(rows), str(samples)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    tokens, seconds = done.stdout.split()
    return int(tokens) / float(seconds)


def end_to_end(rows: int, samples: int, actors: int) -> float:
    """Tokens per second of raysweep."""
    from raysweep.driver.generate import generate

    with tempfile.TemporaryDirectory() as out:
        config = config_of(rows, samples, out)
        config = replace(config, cluster=replace(config.cluster, actors=actors))
        loaded_at: list[float] = []
        finished_at: list[float] = []

        def watch(schedule: Schedule, event: Event | None) -> None:
            if isinstance(event, Loaded):
                loaded_at.append(time.perf_counter())
            elif isinstance(event, Finished):
                finished_at.append(time.perf_counter())

        store = Store(str(Path(out) / "throughput"))
        outcome = generate(shards_of(config), store, config, run_lengths(config), watch)
    assert outcome.actors == actors and not outcome.faults
    return outcome.tokens / (finished_at[-1] - loaded_at[0])


def measure(rows: int, samples: int, repeats: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {"engine alone": [], "one actor": [], "two actors": []}
    for _ in range(repeats):
        rates["engine alone"].append(raw(rows, samples))
        rates["one actor"].append(end_to_end(rows, samples, 1))
        rates["two actors"].append(end_to_end(rows, samples, 2))
    return rates


def report(rates: Mapping[str, Sequence[float]]) -> None:
    median = {name: statistics.median(found) for name, found in rates.items()}
    for name, found in rates.items():
        said = " ".join(f"{rate:,.0f}" for rate in sorted(found))
        print(f"{name:13} {median[name]:9,.0f} tokens/s   ({said})")
    print(f"one actor over the engine alone  {median['one actor'] / median['engine alone']:.2f} x")
    print(f"two actors over one              {median['two actors'] / median['one actor']:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    report(measure(options.rows, options.samples, options.repeats))


if __name__ == "__main__":
    main()

"""Compares the torch engine with transformers' generate, and every KV policy with the full cache.

    python -m benchmarks.engine --out runs/benchmark                about 15 minutes on an idle machine
    python -m benchmarks.engine --out runs/real --model build/smollm2    some 5, on a real model

Repeats are interleaved (A B C, A B C, ...), so a drift of the machine's speed affects all alike. Each
measurement has one thread and its own process, which is forked after all modules are imported. A table gives
the median and the spread of tokens per second, and ratios of medians within the run. The results are written
as Markdown (`engine.md`) and as a figure (`engine.svg`, `engine.png`).
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.snap_kv import SnapKV
from actors.kv.streaming_llm import StreamingLLM
from benchmarks import decode
from benchmarks.subject import ARCHITECTURE, Measured, Work, make_model, run
from raysweep.spec import Architecture
from raysweep.system.quantities import human_bytes

PEERS = {"transformers bf16": torch.bfloat16, "transformers fp32": torch.float32}
FORKS = 8


@dataclass(frozen=True)
class Scale:
    """How much is measured: tokens per trace in the short and the long table, and repeats."""

    batches: tuple[int, ...] = (1, 8, 32, 64)
    short: int = 160
    short_budget: int = 128  # tokens that evicting policies keep
    long: int = 2048
    long_budget: int = 256
    long_batch: int = 16
    repeats: int = 3
    architecture: Architecture = ARCHITECTURE


Results = dict[Work, list[Measured]]


def policies(budget: int) -> tuple[Any, ...]:
    """One policy of every kind. Evicting ones keep `budget` tokens, quantised ones half in 16 bit."""
    buffer, residual = budget // 4, budget // 2
    r_kv = RKV(budget=budget, buffer=buffer)
    return (
        Full(),
        StreamingLLM(4, budget - 4),
        r_kv,
        SnapKV(budget=budget, window=16, buffer=buffer),
        H2O(budget=budget, window=residual, buffer=buffer),
        *(Quantized(bits, residual=min(128, residual)) for bits in (8, 4, 2)),
        Quantized(4, residual=min(128, residual), layout="kivi"),
        Quantized(4, residual=min(128, residual), axis=1, evict=r_kv),
    )


def short_work(scale: Scale) -> list[Work]:
    """The work of the short table: peers and policies at each batch size."""
    chosen = policies(scale.short_budget)
    subjects = [*PEERS.items(), *((policy.slug, policy) for policy in chosen)]
    budgets = (scale.short,)
    a = scale.architecture
    return [Work(name, how, batch, budgets, a) for batch in scale.batches for name, how in subjects]


def long_work(scale: Scale) -> list[Work]:
    """The work of the long table: every policy with one budget, and one per kind with FORKS budgets."""
    forked = tuple(scale.long * (i + 1) // FORKS for i in range(FORKS))
    full, ring, evicting, *others = policies(scale.long_budget)
    quantized = next(policy for policy in others if policy.packing)
    works = [(policy, (scale.long,)) for policy in (full, ring, evicting, *others)]
    works += [(policy, forked) for policy in (full, ring, evicting, quantized)]
    return [Work(policy.slug, policy, scale.long_batch, budgets) for policy, budgets in works]


def measure(works: Sequence[Work], repeats: int, folder: Path) -> Results:
    """Do each piece of work `repeats` times, interleaved and each time in its own process."""
    results: Results = {work: [] for work in works}
    # The server has imported everything and computed nothing, because torch's threads do not survive a fork.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.subject"])
    for repeat in range(repeats):
        for done, work in enumerate(works):
            print(
                f"\r{repeat + 1}/{repeats} {done + 1}/{len(works)} {work.name:<30}",
                end="",
                file=sys.stderr,
            )
            with context.Pool(1) as pool:
                results[work].append(pool.apply(run, (work, folder)))
    print(file=sys.stderr)
    return results


def rates(measured: Iterable[Measured]) -> list[float]:
    return sorted(one.tokens / one.wall_s for one in measured)


def rate(measured: Iterable[Measured]) -> float:
    """Median tokens per second."""
    return statistics.median(rates(measured))


def short_table(results: Results, scale: Scale) -> list[str]:
    """Tokens per second by batch size, and the full cache's ratio to the faster peer."""
    head = ["", *(f"batch {batch}" for batch in scale.batches), "peak memory"]
    by_name: dict[str, list[list[Measured]]] = {}
    for work, measured in results.items():
        by_name.setdefault(work.name, []).append(measured)
    lines = [
        [name, *map(_rate_and_spread, columns), human_bytes(_peak_bytes(columns[-1]))]
        for name, columns in by_name.items()
    ]
    ratios = []
    for index in range(len(scale.batches)):
        fastest = max(rate(by_name[peer][index]) for peer in PEERS)
        ratios.append(f"**{rate(by_name['full'][index]) / fastest:.2f} ×**")
    return markdown(head, [*lines, ["full / faster transformers", *ratios, ""]])


def long_table(results: Results, scale: Scale) -> list[str]:
    """Tokens per second and memory of a long trace by policy, and what the forks add."""
    by_name: dict[str, list[list[Measured]]] = {}
    for work, measured in results.items():
        by_name.setdefault(work.name, []).append(measured)
    full = rate(by_name["full"][0])
    lines = []
    for name, (plain, *forked) in by_name.items():
        grown = statistics.median(m.grown_bytes for m in plain)
        cells = [f"{rate(plain) / full:.2f} ×", human_bytes(_peak_bytes(plain)), human_bytes(grown)]
        added = f"{_wall_s(forked[0]) / _wall_s(plain) - 1:+.1%}" if forked else ""
        lines.append([name, _rate_and_spread(plain), *cells, added])
    head = ["", "tokens/s", "against full", "peak memory", "grown after a quarter"]
    return markdown([*head, f"{FORKS} budgets instead of 1"], lines)


def _rate_and_spread(measured: list[Measured]) -> str:
    ordered = rates(measured)
    return f"{statistics.median(ordered):,.0f} ({ordered[0]:,.0f}–{ordered[-1]:,.0f})"


def _wall_s(measured: list[Measured]) -> float:
    return statistics.median(one.wall_s for one in measured)


def _peak_bytes(measured: list[Measured]) -> float:
    """Median of the peak memory besides the loaded model."""
    return statistics.median(one.peak_bytes for one in measured)


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    rows = [head, ["---", *["---:"] * (len(head) - 1)], *lines]
    return ["| " + " | ".join(row) + " |" for row in rows]


def figure(short: Results, long: Results, scale: Scale) -> Figure:
    """Throughput by batch size, and throughput of a long trace by policy."""
    drawn = Figure(figsize=(10, 4), layout="constrained")
    left, right = drawn.subplots(1, 2)
    for name in [*PEERS, "full"]:
        ours = [rate(measured) for work, measured in short.items() if work.name == name]
        left.plot(scale.batches, ours, marker="o", lw=2.2 if name == "full" else 1.2, label=name)
    left.set(xscale="log", xlabel="batch", ylabel="tokens/s", xticks=scale.batches)
    left.set_xticklabels([str(batch) for batch in scale.batches])
    left.set_title(f"Traces of {scale.short:,} tokens", loc="left")
    left.legend(frameon=False)
    plain = {w.name: rate(m) for w, m in long.items() if len(w.token_budgets) == 1}
    right.barh(list(plain), list(plain.values()), color="#3b49b8")
    right.invert_yaxis()
    right.set_xlabel("tokens/s")
    right.set_title(f"Traces of {scale.long:,} tokens, batch {scale.long_batch}", loc="left")
    return drawn


def report(scale: Scale, out: Path, measured_by: Callable[..., Results] = measure) -> str:
    """Measure everything, and write tables and figure into `out`. Returns the Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder), scale.architecture)
        short = measured_by(short_work(scale), scale.repeats, Path(folder))
        long = measured_by(long_work(scale), scale.repeats, Path(folder))
    sections = [
        f"## Traces of {scale.short:,} tokens: tokens/s, median of {scale.repeats} (min–max)",
        *("", *short_table(short, scale), ""),
        *(f"## Traces of {scale.long:,} tokens, batch {scale.long_batch}", ""),
        *(*long_table(long, scale), ""),
    ]
    out.mkdir(parents=True, exist_ok=True)
    for ending in ("svg", "png"):
        figure(short, long, scale).savefig(out / f"engine.{ending}", dpi=150)
    return written(sections, out)


def report_on_model(model: Path, gptq: Path | None, repeats: int, out: Path) -> str:
    """Measure decoding of a real model, and write the table into `out`. Returns the Markdown."""
    seconds = decode.measure(decode.subjects(model, gptq), repeats)
    head = ["", *(f"batch {batch}" for batch in decode.STEPS)]
    title = f"## CPU milliseconds per step, median of {repeats} (min–max), and speed / faster transformers"
    return written([title, "", *markdown(head, decode.table(seconds)), ""], out)


def written(sections: Sequence[str], out: Path) -> str:
    out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(sections)
    (out / "engine.md").write_text(text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--repeats", type=int, default=Scale.repeats)
    parser.add_argument("--long", type=int, default=Scale.long, help="tokens of a long trace")
    parser.add_argument(
        "--model", type=Path, help="a model's folder: measure decoding of it instead"
    )
    parser.add_argument("--gptq", type=Path, help="the same model's folder at a GPTQ precision")
    arguments = parser.parse_args()
    if arguments.model is not None:
        print(report_on_model(arguments.model, arguments.gptq, arguments.repeats, arguments.out))
        return
    scale = replace(Scale(long=arguments.long), repeats=arguments.repeats)
    print(report(scale, arguments.out))


if __name__ == "__main__":
    main()

"""Decoding a real model on one thread: the torch engine beside transformers and, where it is, vLLM.

`benchmarks.engine --model FOLDER` runs it. The figure is CPU time per step of decoding, with the full cache
and without the prompt's part. All subjects are loaded first, each in its own process, and measured in turns.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
VLLM = ROOT / ".venv-vllm" / "bin" / "python"
# Tokens per row by batch size; fewer for a large batch, because a step takes longer.
STEPS = {1: 16, 8: 12, 32: 8}
PEERS = ("transformers bf16", "transformers fp32")
VLLM_VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


@dataclass(frozen=True)
class Subject:
    """What decodes: its name in the table, how `decode_subject` calls it, and the model's folder."""

    name: str
    way: str
    folder: Path


Seconds = dict[tuple[str, int], list[float]]  # CPU seconds per step by subject and batch size


def subjects(folder: Path, gptq: Path | None) -> list[Subject]:
    """transformers in both types, the torch engine, and what else is there."""
    found = [Subject(peer, peer, folder) for peer in PEERS]
    found.append(Subject("raysweep", "raysweep", folder))
    if gptq is not None:
        found.append(Subject("raysweep, GPTQ", "raysweep", gptq))
    if VLLM.exists():
        found.append(Subject("vLLM", "vllm", folder))
    return found


def measure(chosen: Sequence[Subject], repeats: int) -> Seconds:
    """Measure all subjects in turns, `repeats` times each."""
    seconds: Seconds = {}
    with ExitStack() as stack:
        running = [(subject.name, stack.enter_context(started(subject))) for subject in chosen]
        for repeat in range(repeats):
            for batch, tokens in STEPS.items():
                for name, process in running:
                    answer = _ask(process, f"{batch} {tokens}")
                    seconds.setdefault((name, batch), []).append(float(answer))
            print(f"repeat {repeat + 1} of {repeats} is done", file=sys.stderr)
    return seconds


@contextmanager
def started(subject: Subject) -> Iterator[subprocess.Popen[str]]:
    """The subject's process, with its model loaded."""
    python = str(VLLM) if subject.way == "vllm" else sys.executable
    with subprocess.Popen(
        [python, "-m", "benchmarks.decode_subject", subject.way, str(subject.folder.absolute())],
        cwd=ROOT,
        env={**os.environ, **(VLLM_VARIABLES if subject.way == "vllm" else {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        _answer(process)
        yield process
        process.kill()


def _ask(process: subprocess.Popen[str], question: str) -> str:
    assert process.stdin is not None
    process.stdin.write(question + "\n")
    process.stdin.flush()
    return _answer(process)


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args} ended early, see above")
    return line


def table(seconds: Seconds) -> list[list[str]]:
    """A line per subject: milliseconds per step, and the ratio of speeds to the faster transformers."""
    names = list(dict.fromkeys(name for name, _ in seconds))
    return [[name, *(_cell(seconds, name, batch) for batch in STEPS)] for name in names]


def _cell(seconds: Seconds, name: str, batch: int) -> str:
    own = seconds[name, batch]
    median = statistics.median(own)
    fastest = min(statistics.median(seconds[peer, batch]) for peer in PEERS)
    spread = f"{1000 * min(own):.0f}–{1000 * max(own):.0f}"
    return f"{1000 * median:.0f} ({spread}), **{fastest / median:.2f} ×**"

"""vLLM's speed of decoding with random weights, in a process of its own, which frees all memory as it ends.

    python -m benchmarks.check_gpu.vllm_process FOLDER ROWS TOKENS STEPS

FOLDER holds a configuration and a tokenizer, and no weights. All rows hold TOKENS tokens, each row others.
Their prompts are in the cache when time is taken, and a short run is taken from a long one.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

VARIABLES = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
FEW = 4  # steps of the short run
SMALLEST_VOCABULARY = 100  # of the tokenizers that write_folder gives


def vllm_tokens_s(folder: Path, rows: int, tokens: int, steps: int) -> float:
    """Tokens per second. Raises RuntimeError with vLLM's last words if it fails."""
    name = "benchmarks.check_gpu.vllm_process"
    command = [sys.executable, "-m", name, str(folder), *map(str, (rows, tokens, steps))]
    environment = {**os.environ, **VARIABLES}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise RuntimeError((done.stderr.strip() or "no words").splitlines()[-1])
    return float(done.stdout)


def measure(folder: str, rows: int, tokens: int, steps: int) -> float:
    from vllm import LLM, SamplingParams  # pyright: ignore[reportMissingImports]

    model = LLM(
        folder,
        load_format="dummy",
        dtype="auto",
        max_model_len=tokens + steps + 2 * FEW,
        max_num_seqs=rows,
        enable_prefix_caching=True,
        seed=0,
    )
    prompts: Any = [{"prompt_token_ids": prompt(row, tokens)} for row in range(rows)]

    def seconds(count: int) -> float:
        way = SamplingParams(temperature=1.0, max_tokens=count, ignore_eos=True, detokenize=False)
        began = time.perf_counter()
        model.generate(prompts, way, use_tqdm=False)
        return time.perf_counter() - began

    seconds(FEW)  # computes the prompts
    short = seconds(FEW)
    return rows * steps / (seconds(FEW + steps) - short)


def prompt(row: int, tokens: int) -> list[int]:
    """Tokens that begin differently in each row, so that no two rows share a cache."""
    return [(row + place * (row + 1)) % SMALLEST_VOCABULARY for place in range(tokens)]


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not disturb the answer
    print(measure(sys.argv[1], *map(int, sys.argv[2:])), file=answers)

"""One subject of `benchmarks.decode`, in a process of its own: it decodes a model on one thread when asked.

    python -m benchmarks.decode_subject SUBJECT FOLDER

Each line of its input is `batch tokens`. Its answer is a line `decoded seconds`, where seconds are CPU
time per step of decoding. A short run is taken from a long one, so that the prompt's part cancels out.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Decode = Callable[[int, int], None]  # decodes a batch of that size for so many tokens

QUESTION = "Tom has 3 apples and buys 4 more. How many apples does he have? Think step by step."
WARM_UP_TOKENS = 2
ROWS = 32  # the largest batch


def transformers_in(dtype_name: str) -> Callable[[Path], Decode]:
    def load(folder: Path) -> Decode:
        import torch
        from transformers import AutoModelForCausalLM

        from benchmarks.subject import generate

        torch.set_num_threads(1)
        dtype = getattr(torch, dtype_name)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        prompt = encoded_prompt(folder)

        return lambda batch, tokens: generate(model, [prompt] * batch, tokens)

    return load


def torch_engine(folder: Path) -> Decode:
    import torch

    from actors.engine import TraceRequest
    from actors.kv.full import Full
    from actors.torch_engine.engine import TorchEngine
    from raysweep.configuration.architecture import read_architecture
    from raysweep.spec import Decoding, Sampling

    torch.set_num_threads(1)
    engine = TorchEngine(str(folder), read_architecture(folder / "config.json"), Full(), ROWS)
    engine.texts.end = frozenset()  # no text ends before its budget
    prompt, greedy = rendered_prompt(folder), Sampling(temperature=0)

    def decode(batch: int, tokens: int) -> None:
        way = Decoding(0, greedy, "", "", "\n", 1, (tokens,), end_closes=True)
        left: list[None] = [None] * batch
        for key in range(batch):
            engine.add(TraceRequest(prompt, key, way), lambda _: left.pop())
        while left:
            engine.step()

    return decode


def vllm_engine(folder: Path) -> Decode:
    from vllm import LLM, SamplingParams  # pyright: ignore[reportMissingImports]

    model = LLM(
        str(folder), dtype="bfloat16", max_model_len=1024, max_num_seqs=ROWS, enforce_eager=True
    )
    prompt: Any = {"prompt_token_ids": encoded_prompt(folder)}

    def decode(batch: int, tokens: int) -> None:
        way = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True)
        model.generate([prompt] * batch, way, use_tqdm=False)

    return decode


SUBJECTS: dict[str, Callable[[Path], Decode]] = {
    "transformers bf16": transformers_in("bfloat16"),
    "transformers fp32": transformers_in("float32"),
    "raysweep": torch_engine,
    "vllm": vllm_engine,
}


def rendered_prompt(folder: Path) -> str:
    from raysweep.configuration.chat import read_chat
    from raysweep.spec import Family, Sampling

    return read_chat(folder, "model").prompt(QUESTION, Family("instruct", Sampling(0), ""))


def encoded_prompt(folder: Path) -> list[int]:
    from raysweep.configuration.chat import read_chat

    return read_chat(folder, "model").encode(rendered_prompt(folder))


def cpu_seconds(decode: Decode, batch: int, tokens: int) -> float:
    started = time.process_time()
    decode(batch, tokens)
    return time.process_time() - started


def main(subject: str, folder: Path) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries that write to the output do not disturb the answers
    decode = SUBJECTS[subject](folder)
    decode(1, WARM_UP_TOKENS)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        batch, tokens = map(int, line.split())
        short = cpu_seconds(decode, batch, WARM_UP_TOKENS)
        long = cpu_seconds(decode, batch, WARM_UP_TOKENS + tokens)
        print((long - short) / tokens, file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

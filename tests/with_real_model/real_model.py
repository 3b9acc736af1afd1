"""The real model as the tests beside this file use it: where it lies, what it is asked, and held-out text."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from actors.engine import Trace, TraceRequest
from actors.torch_engine.engine import TorchEngine
from benchmarks.real_model import topics
from raysweep.configuration.architecture import read_architecture
from raysweep.kv_policy import KVPolicy
from raysweep.spec import Decoding, Sampling

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "smollm2"  # `make test-real` makes it
CHECKPOINTS = ROOT / "build" / "real-checkpoints"  # quantised ones, kept for the next time
ARCHITECTURE = read_architecture(FOLDER / "config.json")
PROMPTS = [
    "Explain why the sky is blue.",
    "Write a short story about a fox and a river.",
    "A box has 12 eggs and 5 are broken. How many are whole? Think step by step.",
    "List three uses of copper.",
    "What is the difference between weather and climate?",
    "Translate to French: the house is small.",
    "Write a Python function that adds two numbers.",
    "Why do leaves fall in autumn?",
]


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(FOLDER)


@cache
def reference() -> Any:
    """transformers' own model, with its weights in 32 bit."""
    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()


@cache
def held_out(tokens: int) -> list[list[int]]:
    """Segments of text of so many tokens, from topics of which no calibration text is made."""
    texts = [tokenizer().encode(text, add_special_tokens=False) for text in topics(1)]
    return [ids[i : i + tokens] for ids in texts for i in range(0, len(ids) - tokens + 1, tokens)]


def spread(segments: list[list[int]], count: int) -> list[list[int]]:
    """`count` of the segments, evenly spread over them."""
    return [segments[index * len(segments) // count] for index in range(count)]


def make_engine(policy: KVPolicy, max_rows: int, storage: torch.dtype) -> TorchEngine:
    return TorchEngine(str(FOLDER), ARCHITECTURE, policy, max_rows, storage)


def requests(budget: int, temperature: float) -> dict[int, TraceRequest]:
    """Each prompt, answered at once; the text may go on to the budget."""
    sampling = Sampling(temperature)
    opening, close = "<|im_start|>assistant\n", "<file_sep>"
    way = Decoding(0, sampling, opening, close, close, 1, (budget,))
    return {key: TraceRequest(prompt, key, way) for key, prompt in enumerate(PROMPTS)}


def decoded(trace: Trace) -> tuple:
    """A trace without its timing."""
    return (trace.prompt_tokens, trace.token_ids, trace.finish, trace.answers)

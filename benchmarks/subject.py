"""The subject of measurements: a model that never ends its text, and a piece of work for either engine.

The model has Qwen3's architecture and random weights. Its head can choose neither the end of the text nor
the end of the thinking, so every engine decodes exactly the requested number of tokens.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from actors.engine import Trace, TraceRequest
from actors.tiny.tokenizer import VOCABULARY_SIZE, build_tokenizer
from actors.torch_engine.engine import TorchEngine
from raysweep.configuration.chat import read_chat
from raysweep.kv_policy import KVPolicy
from raysweep.spec import Architecture, Decoding, Family, Sampling

QUESTION = "s*2=r;h=9;h-2=s;r-4=e;e+8=l;l?"
ARCHITECTURE = Architecture(128, 2, 8, 4, 64, 256, VOCABULARY_SIZE, False, 8192)
CLOSING, ANSWER_TOKENS = "</think>\nThe answer is", 4


@dataclass(frozen=True)
class Work:
    """`batch` samples of one question that use the largest budget and answer at each budget.

    policy        a KV policy for our engine, or the dtype in which transformers runs
    architecture  the sizes of the model
    """

    name: str
    policy: KVPolicy | torch.dtype
    batch: int
    token_budgets: tuple[int, ...]
    architecture: Architecture = ARCHITECTURE


@dataclass(frozen=True)
class Measured:
    """The measurements of one piece of work.

    tokens       tokens of the traces, without answers at smaller budgets
    peak_bytes   peak memory of the process besides the loaded model
    grown_bytes  growth of the process's memory after the first quarter of the work
    """

    tokens: int
    wall_s: float
    peak_bytes: int
    grown_bytes: int


def qwen3_config(a: Architecture, **others: Any) -> Qwen3Config:
    """transformers' configuration of a model of these sizes."""
    return Qwen3Config(
        vocab_size=a.vocab_size,
        hidden_size=a.hidden_size,
        intermediate_size=a.intermediate_size,
        num_hidden_layers=a.layers,
        num_attention_heads=a.heads,
        num_key_value_heads=a.kv_heads,
        head_dim=a.head_dim,
        tie_word_embeddings=a.tied_embeddings,
        max_position_embeddings=a.context,
        **others,
    )


def make_model(folder: Path, a: Architecture = ARCHITECTURE) -> None:
    """Write a model of these sizes and its tokenizer in Hugging Face form."""
    tokenizer: Any = build_tokenizer()
    config = qwen3_config(
        replace(a, tied_embeddings=False),
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        bos_token_id=None,
        pad_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
    )
    torch.manual_seed(0)
    model: Any = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for never in ("<|im_end|>", "</think>"):
            model.lm_head.weight[tokenizer.convert_tokens_to_ids(never)] = 0
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def run(work: Work, folder: Path) -> Measured:
    """Do the work in this process on one thread, and measure it without loading."""
    torch.set_num_threads(1)
    if isinstance(work.policy, torch.dtype):
        return _run_transformers(work, folder, work.policy)
    return _run_engine(work, folder, work.policy)


def _run_transformers(work: Work, folder: Path, dtype: torch.dtype) -> Measured:
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    prompt = read_chat(folder, "model").encode(_request(work, folder, 0).prompt)
    tokens = work.token_budgets[-1]
    reset_peak()
    before, started = resident_bytes(), time.perf_counter()
    generate(model, [prompt] * work.batch, tokens)
    wall_s = time.perf_counter() - started
    return Measured(tokens * work.batch, wall_s, peak_bytes() - before, 0)


@torch.inference_mode()
def generate(model: Any, prompts: list[list[int]], tokens: int) -> None:
    """Decode so many tokens after prompts of equal length by transformers, greedily."""
    inputs = torch.tensor(prompts)
    model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
    )


def _run_engine(work: Work, folder: Path, policy: KVPolicy) -> Measured:
    engine = TorchEngine(str(folder), work.architecture, policy, work.batch)
    traces: list[Trace] = []
    reset_peak()
    before, started = resident_bytes(), time.perf_counter()
    for key in range(work.batch):
        engine.add(_request(work, folder, key), traces.append)
    quarter, steps = before, 0
    while len(traces) < work.batch:
        engine.step()
        steps += 1
        if steps == work.token_budgets[-1] // 4:
            quarter = resident_bytes()
    wall_s, end = time.perf_counter() - started, resident_bytes()
    tokens = sum(len(trace.token_ids) for trace in traces)
    return Measured(tokens, wall_s, peak_bytes() - before, end - quarter)


def _request(work: Work, folder: Path, key: int) -> TraceRequest:
    greedy = Sampling(temperature=0)
    decoding = Decoding(
        0, greedy, "<think>\n", "</think>", CLOSING, ANSWER_TOKENS, work.token_budgets
    )
    prompt = read_chat(folder, "model").prompt(QUESTION, Family("random", greedy))
    return TraceRequest(prompt, key, decoding)


def reset_peak() -> None:
    """Reset the peak of the process's memory (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    return _status("VmHWM")


def resident_bytes() -> int:
    return _status("VmRSS")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))

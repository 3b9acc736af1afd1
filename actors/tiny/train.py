"""Train the embedded family from scratch: `python -m actors.tiny.train --size tiny-140k`.

Small models of Qwen3's architecture learn chained arithmetic only with a careful recipe: Muon for matrices
and AdamW for the rest, a large embedding with small residual writes at the start, sharper attention in the
second layer, copying exercises first, and problems that grow. With one thread and a fixed seed, a run is
repeatable on one machine.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from actors.tiny.examples import Example, ExampleMaker
from actors.tiny.tokenizer import VOCABULARY_SIZE, build_tokenizer
from raysweep.benchmarks import chain, facts

BATCH_TOKENS = 2048
WARM_UP = 0.18  # share of the training in which half of the data is copying
IGNORED = -100


@dataclass(frozen=True)
class Size:
    """Architecture, length of training and seed of one member of the family."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    tokens: int
    seed: int = 0


SIZES = {
    "tiny-60k": Size(32, 3, 4, 2, 32, 64, 4_500_000),
    "tiny-140k": Size(64, 3, 4, 2, 32, 96, 11_000_000, seed=1),
    "tiny-340k": Size(96, 3, 4, 2, 32, 256, 8_000_000),
    "tiny-755k": Size(128, 3, 8, 4, 32, 384, 11_000_000),
}


def build_model(size: Size) -> Qwen3ForCausalLM:
    """A fresh model, initialised as the recipe needs it."""
    tokenizer: Any = build_tokenizer()
    config = Qwen3Config(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        head_dim=size.head_dim,
        intermediate_size=size.intermediate,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        torch.nn.init.normal_(model.model.embed_tokens.weight, std=0.4)
        model.model.norm.weight.fill_(1 / (0.4 * math.sqrt(size.hidden)))
        layers: Any = model.model.layers
        for index, layer in enumerate(layers):
            for linear in layer.modules():
                if isinstance(linear, torch.nn.Linear):
                    torch.nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
            layer.self_attn.o_proj.weight.mul_(0.1)
            layer.mlp.down_proj.weight.mul_(0.1)
            # The sharpest possible attention, exp(sqrt(head_dim) * w^2), is the same for every
            # head_dim, and higher in the second layer, which matches letters.
            sharpness = (64 / size.head_dim) ** 0.25 * (2.0 if index == 1 else 1.0)
            layer.self_attn.q_norm.weight.fill_(sharpness)
            layer.self_attn.k_norm.weight.fill_(sharpness)
    return model


def batches(maker: ExampleMaker, rng: random.Random, total_tokens: int) -> Iterator[tuple]:
    """(progress, inputs, targets) until the tokens are spent; a batch has examples of similar length."""
    seen = 0
    while seen < total_tokens:
        progress = seen / total_tokens
        pool = sorted((draw(maker, rng, progress) for _ in range(256)), key=lambda e: len(e.tokens))
        groups = list(group(pool))
        rng.shuffle(groups)
        for examples in groups:
            seen += sum(len(e.tokens) for e in examples)
            yield seen / total_tokens, *tensors(examples)


def draw(maker: ExampleMaker, rng: random.Random, progress: float) -> Example:
    """One example of a kind that suits the stage of training."""
    max_level = 6 if progress < 0.25 else min(12, int(6 + (progress - 0.25) * 24))
    if rng.random() < (0.5 if progress < WARM_UP else 0.1):
        return maker.recall(max_level)
    kind = rng.choices(["chain", "fact", "sheet"], [0.64, 0.18, 0.18])[0]
    if kind == "chain":
        return maker.chain(max_level)
    return maker.fact() if kind == "fact" else maker.fact_sheet()


def group(pool: list[Example]) -> Iterator[list[Example]]:
    """Cut a sorted pool into batches of at most BATCH_TOKENS with padding."""
    batch: list[Example] = []
    for example in pool:
        if batch and len(example.tokens) * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(example)
    yield batch


def tensors(examples: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded inputs and next-token targets, both [batch, length]."""
    length = max(len(e.tokens) for e in examples)
    inputs = torch.zeros(len(examples), length, dtype=torch.long)
    targets = torch.full((len(examples), length), IGNORED)
    for row, example in enumerate(examples):
        tokens = torch.tensor(example.tokens)
        inputs[row, : len(tokens)] = tokens
        trained = torch.tensor(example.trained[1:])
        targets[row, : len(tokens) - 1] = torch.where(trained, tokens[1:], IGNORED)
    return inputs, targets


def train(size: Size) -> Qwen3ForCausalLM:
    """The whole training of one model; prints losses and teacher-forced accuracies as it goes."""
    torch.manual_seed(size.seed)
    rng = random.Random(size.seed)
    model = build_model(size)
    optimizers = make_optimizers(model)
    maker = ExampleMaker(build_tokenizer(), rng)
    started, report_at, losses = time.monotonic(), 0.0, []
    for progress, inputs, targets in batches(maker, rng, size.tokens):
        set_learning_rates(optimizers, min(1.0, (1 - progress) / 0.8) + 1e-3)
        losses.append(learn(model, optimizers, inputs, targets))
        if progress >= report_at:
            report_at += 0.05
            loss, elapsed = sum(losses) / len(losses), time.monotonic() - started
            print(f"{progress:4.0%} {elapsed:5.0f} s loss {loss:.3f} {check(model)}", flush=True)
            losses.clear()
    return model


def learn(
    model: Qwen3ForCausalLM,
    optimizers: list[torch.optim.Optimizer],
    inputs: torch.Tensor,
    targets: torch.Tensor,
) -> float:
    """One step of training; the loss before it."""
    logits = model(input_ids=inputs, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED
    )
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


def set_learning_rates(optimizers: list[torch.optim.Optimizer], scale: float) -> None:
    for optimizer in optimizers:
        for param_group in optimizer.param_groups:
            param_group["lr"] = param_group["base_lr"] * scale


def make_optimizers(model: Qwen3ForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embedding and norms."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if not any(p is m for m in matrices)]
    optimizers = [
        torch.optim.Muon(matrices, lr=0.015, weight_decay=0.05),
        torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    for optimizer in optimizers:
        for param_group in optimizer.param_groups:
            param_group["base_lr"] = param_group["lr"]
    return optimizers


@torch.no_grad()
def check(model: Qwen3ForCausalLM) -> dict[str, float]:
    """Share of held-out traces in which every token is the model's first choice; by chain level, facts."""
    tokenizer, rng = build_tokenizer(), random.Random("check")
    maker = ExampleMaker(tokenizer, rng)
    result = {}
    for level in (1, 2, 4, 8, 12):
        problems = [chain.make_problem(rng, level) for _ in range(16)]
        result[f"chain{level}"] = sum(
            follows(model, maker, p.prompt, p.worked) for p in problems
        ) / len(problems)
    known = facts.table()[::64]
    asked = [(name, value, facts.make_question(rng, name, value)) for name, value in known]
    hits = [follows(model, maker, prompt, f"{name}={value}") for name, value, prompt in asked]
    result["facts"] = round(sum(hits) / len(hits), 2)
    return result


def follows(model: Qwen3ForCausalLM, maker: ExampleMaker, prompt: str, trace: str) -> bool:
    given, expected = maker.prompt(prompt), maker.encode(trace)
    logits = model(input_ids=torch.tensor([given + expected]), use_cache=False).logits[0]
    return logits[len(given) - 1 : -1].argmax(-1).tolist() == expected


def save(model: Qwen3ForCausalLM, folder: Path, record: dict) -> None:
    """Write the model in 16 bit with its tokenizer, in Hugging Face form."""
    model.bfloat16().save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--seed", type=int, help="instead of the size's own")
    parser.add_argument("--out", type=Path, default=Path("models"))
    parser.add_argument("--tokens", type=int, help="instead of the size's own")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    size = SIZES[arguments.size]
    if arguments.tokens is not None:
        size = replace(size, tokens=arguments.tokens)
    if arguments.seed is not None:
        size = replace(size, seed=arguments.seed)
    started = time.monotonic()
    model = train(size)
    record = {
        "seed": size.seed,
        "tokens": size.tokens,
        "parameters": model.num_parameters(),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "check": check(model),
    }
    save(model, arguments.out / arguments.size, record)


if __name__ == "__main__":
    main()

"""Tokens counted before anything runs: whether thinking closes with one token, and prompts fit the context.

The chat template is not rendered here; a margin stands for what it adds to a question. The engine counts
exactly, when it has the model.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.errors import ConfigError, shown
from raysweep.spec import TEMPLATE_TOKENS, Benchmark, ModelSpec, Sweep

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def check_tokens(sweep: Sweep) -> None:
    """Raise unless each model can close its thinking, and has room for the longest prompt and answer."""
    for index, model in enumerate(sweep.models):
        tokenizer = read_tokenizer(model, f"sweep.models[{index}]")
        for benchmark in sweep.benchmarks:
            check_close(tokenizer, model, benchmark, f"sweep.models[{index}].family")
            check_context(tokenizer, model, benchmark, sweep.token_budgets[-1])


def check_close(tokenizer: "Tokenizer", model: ModelSpec, benchmark: Benchmark, field: str) -> None:
    """Raise unless think_close is one token, also where the benchmark's opener follows it."""
    close = encode(tokenizer, model.family.think_close)
    forced = encode(tokenizer, model.family.think_close + benchmark.answer_opener)
    if len(close) != 1 or forced[0] != close[0]:
        raise ConfigError(
            f"{field}: think_close {shown(model.family.think_close)} is not one token of "
            f"{model.name} but {len(close)}; give the one that ends its thinking"
        )


def check_context(
    tokenizer: "Tokenizer", model: ModelSpec, benchmark: Benchmark, token_budget: int
) -> None:
    """Raise unless prompt, thinking and answer fit the model's context."""
    prompts = [question.prompt for question in benchmark.questions]
    encoded = tokenizer.encode_batch(prompts, add_special_tokens=False)
    prompt = max(len(one.ids) for one in encoded) + TEMPLATE_TOKENS
    forced = len(encode(tokenizer, model.family.think_close + benchmark.answer_opener))
    answer = forced + benchmark.answer_tokens
    context = model.architecture.context
    if prompt + token_budget + answer > context:
        most = context - prompt - answer
        way_out = (
            f"lower the budget to {most}" if most > 0 else "leave out the model or the benchmark"
        )
        raise ConfigError(
            f"sweep.token_budgets: {token_budget}, a prompt of {benchmark.name} with up to {prompt} "
            f"tokens ({TEMPLATE_TOKENS} of them for the chat template) and an answer of {answer} do "
            f"not fit the context of {model.name}, {context} tokens; {way_out}"
        )


def encode(tokenizer: "Tokenizer", text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


def read_tokenizer(model: ModelSpec, field: str) -> "Tokenizer":
    """The tokenizer in the model's folder."""
    try:
        return _parse((Path(model.path) / "tokenizer.json").read_bytes())
    except Exception as error:  # tokenizers raises nothing narrower
        raise ConfigError(
            f"{field}: the tokenizer.json in '{model.path}' cannot be read ({error}); fetch it again"
        ) from error


@lru_cache(maxsize=2)  # models of one family have the same, and a large one takes a second
def _parse(content: bytes) -> "Tokenizer":
    from tokenizers import Tokenizer

    return Tokenizer.from_buffer(content)

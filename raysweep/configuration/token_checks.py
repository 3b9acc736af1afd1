"""Checks that need a tokenizer, before anything runs.

Thinking must be closed by one token, and prompt, thinking and answer must fit the model's context.
"""

from functools import lru_cache

from raysweep.checkpoints.hub import local_file
from raysweep.configuration.chat import Chat, prompts, read_chat
from raysweep.errors import ConfigError, shown
from raysweep.recipe import Calibration
from raysweep.run_config import Sweep
from raysweep.spec import Benchmark, Family, Forcing, ModelSpec, Question, sequence_tokens


def check_tokens(sweep: Sweep) -> None:
    """Raise unless each model can close its thinking and has room for the longest sequence.

    A model whose tokenizer is still on the hub is checked without its prompt.
    """
    for index, model in enumerate(sweep.models):
        chat = read_chat_of(model, f"sweep.models[{index}]")
        for benchmark in sweep.benchmarks:
            if chat is not None:
                check_close(chat, model, benchmark, sweep.forcing, f"sweep.models[{index}].family")
            check_context(chat, model, benchmark, sweep)


def check_close(
    chat: Chat, model: ModelSpec, benchmark: Benchmark, forcing: Forcing, field: str
) -> None:
    """Raise unless think_close is one token, both alone and within the forced closing."""
    close = chat.encode(model.family.think_close)
    forced = chat.encode(forcing.forced_closing(model.family, benchmark))
    if len(close) != 1 or forced.count(close[0]) != 1:
        raise ConfigError(
            f"{field}: think_close {shown(model.family.think_close)} must be one token for "
            f"{model.name}, alone and in the forced closing, but alone it takes {len(close)}; "
            "give the one token that ends its thinking"
        )


def check_context(chat: Chat | None, model: ModelSpec, benchmark: Benchmark, sweep: Sweep) -> None:
    """Raise unless prompt, thinking and answer fit the model's context.

    chat  None if the tokenizer is missing; prompt and closing then count as no tokens
    """
    prompt = longest_prompt(chat, model.family, benchmark.questions) if chat else 0
    closing = sweep.forcing.forced_closing(model.family, benchmark)
    closing_tokens = len(chat.encode(closing)) if chat else 0
    context, token_budget = model.architecture.context, sweep.token_budgets[-1]
    tokens = sequence_tokens(prompt, token_budget, closing_tokens, benchmark.answer_tokens)
    if tokens > context:
        most = context - (tokens - token_budget)
        answer = closing_tokens + benchmark.answer_tokens
        way_out = (
            f"lower the budget to {most}" if most > 0 else "leave out the model or the benchmark"
        )
        raise ConfigError(
            f"sweep.token_budgets: {token_budget} does not fit the context of {model.name}, {context} "
            f"tokens, beside a prompt of {benchmark.name} (up to {prompt} tokens) and an answer "
            f"({answer}); {way_out}"
        )


@lru_cache(maxsize=64)
def longest_prompt(chat: Chat, family: Family, questions: tuple[Question, ...]) -> int:
    """Tokens of the longest prompt, including chat template and opened thinking."""
    texts = list(prompts(chat, family, questions))
    encoded = chat.tokenizer.encode_batch(texts, add_special_tokens=False)
    return max(len(one.ids) for one in encoded)


def count_tokens(model: ModelSpec, calibration: Calibration) -> int | None:
    """Tokens of the documents without chat template. None if the tokenizer is missing."""
    chat = read_chat_of(model, "prepare.calibration")
    if chat is None:
        return None
    texts = [document.prompt + document.text for document in calibration.documents]
    encoded = chat.tokenizer.encode_batch(texts, add_special_tokens=False)
    return sum(min(len(one.ids), calibration.tokens) for one in encoded)


def read_chat_of(model: ModelSpec, field: str) -> Chat | None:
    """The model's tokenizer and chat template. None if they are missing on this machine."""
    file = local_file(model.path, model.revision, "tokenizer.json")
    return None if file is None else read_chat(file.parent, field)

"""Checks that need a tokenizer, before anything runs.

Thinking must be closed by one token, or under the forcing `direct` by any text or none. Prompt, thinking and
answer must fit the model's context.
"""

import shlex
from dataclasses import asdict
from functools import lru_cache

from raysweep.checkpoints.hub import local_file, repository_of
from raysweep.configuration.chat import Chat, prompts, read_chat
from raysweep.errors import ConfigError, shown
from raysweep.recipe import Calibration
from raysweep.run_config import Sweep
from raysweep.spec import Benchmark, Family, Forcing, ModelSpec, Question, sequence_tokens
from raysweep.system.override_text import override_text


def check_tokens(sweep: Sweep) -> None:
    """Raise unless each model can close its thinking and has room for the longest sequence.

    A model whose tokenizer is still on the hub is checked without its prompt.
    """
    for index, model in enumerate(sweep.models):
        field = f"sweep.models[{index}]"
        chat = read_chat_of(model, field)
        if not (model.family.think_close or sweep.forcing.end_closes):
            raise without_close(model, f"{field}.family", "closes no thinking")
        for benchmark in sweep.benchmarks:
            if chat is not None:
                check_close(chat, model, benchmark, sweep.forcing, f"{field}.family")
            check_context(chat, model, benchmark, sweep)


def check_close(
    chat: Chat, model: ModelSpec, benchmark: Benchmark, forcing: Forcing, field: str
) -> None:
    """Raise unless the forced closing closes the thinking.

    It does by one token that stands in it once, or, where the end of the text closes too, by any text.
    """
    close, text = model.family.think_close, forcing.forced_closing(model.family, benchmark)
    alone, closing = chat.encode(close), chat.encode(text)
    if len(alone) == 1 and closing.count(alone[0]) == 1:
        return
    if not forcing.end_closes:
        raise without_close(
            model,
            field,
            f"must be one token for {model.name}, alone and in the forced closing, but alone it takes "
            f"{len(alone)}",
        )
    found = chat.tokenizer.decode(closing, skip_special_tokens=False).count(close)
    if close and (len(alone) == 1 or found != 1):
        raise ConfigError(
            f"{field}: think_close {shown(close)} must occur once in the forced closing {shown(text)}, but "
            f"in the tokens of {model.name} it occurs {found} times; change sweep.forcing or the opener of "
            f"{benchmark.name}"
        )


def without_close(model: ModelSpec, field: str, fault: str) -> ConfigError:
    """The error for a model that cannot close its thinking, with the definition that lets it answer."""
    repository, family = repository_of(model.path), model.family
    entry = {
        "name": model.name,
        **({"hub": repository} if repository else {"path": model.path}),
        **({"revision": model.revision} if repository else {}),
        "family": {"name": "instruct", "sampling": asdict(family.sampling)},
    }
    models = shlex.quote(f"sweep.models=[{override_text(entry)}]")
    return ConfigError(
        f"{field}: think_close {shown(family.think_close)} {fault}; give the one token that ends its "
        f"thinking, or if there is none: sweep.forcing=direct {models}"
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

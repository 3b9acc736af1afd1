"""The prompts of a run, rendered by the driver, so that every engine of a model is asked the same.

Engines only encode them. The fake engine has no chat template, and is asked the questions themselves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from raysweep.checkpoints.hub import fetched
from raysweep.configuration.chat import Chat, prompts, read_chat
from raysweep.configuration.token_checks import read_chat_of
from raysweep.run_config import RunConfig
from raysweep.shard import Shard
from raysweep.spec import ModelSpec

# Rendered prompts by question id, for each pair of a model's and a benchmark's name.
Prompts = dict[tuple[str, str], dict[str, str]]

TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "chat_template.jinja"),
)


def rendered_prompts(config: RunConfig, shards: Iterable[Shard], fetch: bool) -> Prompts:
    """What the models of the shards are asked on their benchmarks.

    fetch  whether a tokenizer that is still on the hub is fetched; its model is left out otherwise

    Raises ConfigError for a chat template that fails, and for a tokenizer that cannot be fetched.
    """
    asked = {(shard.engine.model.name, shard.benchmark) for shard in shards}
    found: Prompts = {}
    for index, model in enumerate(config.sweep.models):
        benchmarks = [b for b in config.sweep.benchmarks if (model.name, b.name) in asked]
        fake = config.sweep.backend == "fake"
        chat = _chat(model, f"sweep.models[{index}]", fetch) if benchmarks and not fake else None
        for benchmark in benchmarks if chat or fake else ():
            names = [question.question_id for question in benchmark.questions]
            own = [question.prompt for question in benchmark.questions]
            texts = prompts(chat, model.family, benchmark.questions) if chat else own
            found[model.name, benchmark.name] = dict(zip(names, texts, strict=True))
    return found


def _chat(model: ModelSpec, field: str, fetch: bool) -> Chat | None:
    chat = read_chat_of(model, field)
    if chat is None and fetch:
        return read_chat(fetched(model.path, model.revision, TOKENIZER_FILES, field), field)
    return chat


def with_prompts(shards: Sequence[Shard], rendered: Prompts) -> tuple[Shard, ...]:
    """The shards with each question as their model reads it."""
    return tuple(_with_prompts(shard, rendered) for shard in shards)


def _with_prompts(shard: Shard, rendered: Prompts) -> Shard:
    texts = rendered[shard.engine.model.name, shard.benchmark]
    questions = (replace(q, rendered=texts[q.question_id]) for q in shard.questions)
    return replace(shard, questions=tuple(questions))

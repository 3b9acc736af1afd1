"""A model's chat template and tokenizer, read from its folder without transformers.

A prompt is the chat template rendered with the question as the user's only message, after the family's
system message if there is one, and followed by the opening of the thinking. Prompts are rendered here alone.
Templates are Jinja in the dialect of transformers, without its clock: today is the family's `prompt_date`,
or unknown. Tests check that text and tokens equal those of transformers.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from raysweep.errors import ConfigError
from raysweep.spec import Family, Question

if TYPE_CHECKING:
    from jinja2 import Template
    from tokenizers import Tokenizer

# Names under which a template may use the special tokens that tokenizer_config.json gives.
SPECIAL_TOKENS = (
    *("bos_token", "eos_token", "unk_token", "sep_token"),
    *("pad_token", "cls_token", "mask_token"),
)


@dataclass(frozen=True)
class Chat:
    """How one model reads a text. `place` names the model in messages."""

    place: str = field(compare=False)
    tokenizer: "Tokenizer"
    template: "Template"
    special_tokens: tuple[tuple[str, str], ...]

    def prompt(self, question: str, family: Family) -> str:
        """The model's prompt for a question. Raises ConfigError if the template fails."""
        variables = {**dict(self.special_tokens), **family.template}
        if family.prompt_date is not None:
            variables["strftime_now"] = datetime.fromisoformat(family.prompt_date).strftime
        try:
            text = self.template.render(
                messages=_messages(question, family),
                tools=None,
                documents=None,
                add_generation_prompt=True,
                **variables,
            )
        except Exception as error:  # a template may raise anything
            raise self._failed(error, family) from error
        return text if text.endswith(family.think_open) else text + family.think_open

    def _failed(self, error: Exception, family: Family) -> ConfigError:
        if str(error) == "'strftime_now' is undefined":
            return ConfigError(
                f"{self.place}: its chat template asks for the day, but prompt_date of the family "
                f"{family.name!r} is null; write prompt_date: YYYY-MM-DD into the family"
            )
        return ConfigError(f"{self.place}: its chat template fails ({error}); correct the template")

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def piece(self, token: int) -> str:
        """The vocabulary's entry for a token."""
        return self.tokenizer.id_to_token(token) or ""


def _messages(question: str, family: Family) -> list[dict[str, str]]:
    system = [] if family.system is None else [{"role": "system", "content": family.system}]
    return [*system, {"role": "user", "content": question}]


# The models of a family share template and tokenizer, and so the prompts of a benchmark.
@lru_cache(maxsize=64)
def prompts(chat: Chat, family: Family, questions: tuple[Question, ...]) -> tuple[str, ...]:
    """The model's prompt for each question. Raises ConfigError if the template fails."""
    return tuple(chat.prompt(question.prompt, family) for question in questions)


def read_chat(folder: Path, field: str) -> Chat:
    """The chat of the model in `folder`, which `field` names. Raises ConfigError if it is missing."""
    try:
        config = _config(folder)
        source = _template_source(folder, config)
        tokenizer = _tokenizer((folder / "tokenizer.json").read_bytes())
        template = _compiled(source) if source is not None else None
    except Exception as error:  # tokenizers raises nothing narrower
        raise ConfigError(
            f"{field}: the tokenizer.json or the chat template in '{folder}' cannot be read ({error}); "
            "fetch it again"
        ) from error
    if template is None:
        raise ConfigError(
            f"{field}: '{folder}' has no chat template; add its chat_template.jinja, or a "
            "tokenizer_config.json that has one"
        )
    return Chat(f"{field}: '{folder}'", tokenizer, template, _special_tokens(config))


def _config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json. In older folders another file adds to it."""
    config = _json(folder / "tokenizer_config.json")
    older = "added_tokens_decoder" not in config
    return {**config, **_json(folder / "special_tokens_map.json")} if older else config


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_bytes()) if file.is_file() else {}


def _template_source(folder: Path, config: dict[str, Any]) -> str | None:
    """chat_template.jinja, or the template in tokenizer_config.json, which may be a list of named ones."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    source = config.get("chat_template")
    if isinstance(source, list):
        source = {named["name"]: named["template"] for named in source}.get("default")
    return source


def _special_tokens(config: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """(name, special token). The file gives each as a text or as a mapping with the text."""
    given = [(name, config[name]) for name in SPECIAL_TOKENS if config.get(name) is not None]
    return tuple((name, t["content"] if isinstance(t, dict) else t) for name, t in given)


# Models of one family share a tokenizer, and a large one takes a second to load.
@lru_cache(maxsize=2)
def _tokenizer(content: bytes) -> "Tokenizer":
    from tokenizers import Tokenizer

    return Tokenizer.from_buffer(content)


@lru_cache(maxsize=8)
def _compiled(source: str) -> "Template":
    """The template in transformers' dialect of Jinja."""
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class GenerationBlock(Extension):
        """{% generation %} marks a model's own text for training. It has no effect here."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> NoReturn:
        raise TemplateError(message)

    def to_json(value: Any, ensure_ascii: bool = False, **layout: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **layout)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationBlock, "jinja2.ext.loopcontrols"],
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    del environment.filters["random"], environment.globals["lipsum"]  # a prompt is no chance
    return environment.from_string(source)

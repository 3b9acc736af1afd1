"""A model's chat template and tokenizer, read from its folder without transformers.

A prompt is the chat template rendered with the question as the user's only message, followed by the opening
of the thinking. Templates are Jinja in the dialect of transformers. Tests check that text and tokens equal
those of transformers.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from raysweep.errors import ConfigError

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

    place: str
    tokenizer: "Tokenizer"
    template: "Template"
    special_tokens: dict[str, str]

    def prompt(self, question: str, think_open: str) -> str:
        """The model's prompt for a question. Raises ConfigError if the template fails."""
        try:
            text = self.template.render(
                messages=[{"role": "user", "content": question}],
                tools=None,
                documents=None,
                add_generation_prompt=True,
                **self.special_tokens,
            )
        except Exception as error:  # a template may raise anything
            raise ConfigError(
                f"{self.place}: its chat template fails ({error}); correct the template"
            ) from error
        return text if text.endswith(think_open) else text + think_open

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def piece(self, token: int) -> str:
        """The vocabulary's entry for a token."""
        return self.tokenizer.id_to_token(token) or ""


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
    file = folder / "tokenizer_config.json"
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


def _special_tokens(config: dict[str, Any]) -> dict[str, str]:
    """The special tokens by name. The file gives each as a text or as a mapping with the text."""
    given = {name: config[name] for name in SPECIAL_TOKENS if config.get(name) is not None}
    return {name: t["content"] if isinstance(t, dict) else t for name, t in given.items()}


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
    environment.globals["strftime_now"] = lambda layout: datetime.now().strftime(layout)
    return environment.from_string(source)

"""A model's chat template and tokenizer, read from its folder without transformers.

A prompt is the chat template rendered with the question as the user's only message, after the family's
system message if there is one, and followed by the opening of the thinking. Prompts are rendered here alone.
Templates are rendered in a worker process with limits of time and memory (`chat_template`). Tests check that
text and tokens equal those of transformers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import ConfigError
from raysweep.spec import Family, Question
from raysweep.system.json_text import parsed_json
from raysweep.system.workers import CallError, Workers

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Limits of rendering so many prompts, which takes some milliseconds.
AT_ONCE = 256
RENDER_S = 10
RENDER_BYTES = 1 << 30

# Names under which a template may use the special tokens that tokenizer_config.json gives.
SPECIAL_TOKENS = (
    *("bos_token", "eos_token", "unk_token", "sep_token"),
    *("pad_token", "cls_token", "mask_token"),
)


@dataclass(frozen=True)
class Chat:
    """How one model reads a text. `place` names the model in messages, and `template` is its source."""

    place: str = field(compare=False)
    tokenizer: "Tokenizer"
    template: str
    special_tokens: tuple[tuple[str, str], ...]

    def prompt(self, question: str, family: Family) -> str:
        """The model's prompt for a question. Raises ConfigError if the template fails."""
        return self.prompts([question], family)[0]

    def prompts(self, questions: Sequence[str], family: Family) -> tuple[str, ...]:
        """The model's prompt for each question. Raises ConfigError if the template fails."""
        variables = {**dict(self.special_tokens), **family.template}
        asked = [_messages(question, family) for question in questions]
        texts: list[str] = []
        for start in range(0, len(asked), AT_ONCE):
            part = asked[start : start + AT_ONCE]
            found = _rendered(self.template, part, variables, family.prompt_date)
            if "failed" in found:
                raise self._failed(found["failed"], family)
            texts += found["texts"]
        opened = family.think_open
        return tuple(text if text.endswith(opened) else text + opened for text in texts)

    def _failed(self, why: str, family: Family) -> ConfigError:
        if why == "'strftime_now' is undefined":
            return ConfigError(
                f"{self.place}: its chat template asks for the day, but prompt_date of the family "
                f"{family.name!r} is null; write prompt_date: YYYY-MM-DD into the family"
            )
        return ConfigError(f"{self.place}: its chat template fails ({why}); correct the template")

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def piece(self, token: int) -> str:
        """The vocabulary's entry for a token."""
        return self.tokenizer.id_to_token(token) or ""


def _rendered(*arguments: Any) -> dict[str, Any]:
    """What `chat_template.rendered` returns in a worker."""
    function = "raysweep.configuration.chat_template:rendered"
    try:
        return _worker().call(function, *arguments, cpu_s=RENDER_S, memory_bytes=RENDER_BYTES)
    except CallError:
        limits = f"more than {RENDER_S} s or {RENDER_BYTES >> 30} GiB"
        return {"failed": f"it takes {limits}, or no worker process can run"}


@cache
def _worker() -> Workers:
    """One worker for all templates. It ends with this process."""
    return Workers(1)


def _messages(question: str, family: Family) -> list[dict[str, str]]:
    system = [] if family.system is None else [{"role": "system", "content": family.system}]
    return [*system, {"role": "user", "content": question}]


# The models of a family share template and tokenizer, and so the prompts of a benchmark.
@lru_cache(maxsize=64)
def prompts(chat: Chat, family: Family, questions: tuple[Question, ...]) -> tuple[str, ...]:
    """The model's prompt for each question. Raises ConfigError if the template fails."""
    return chat.prompts([question.prompt for question in questions], family)


def read_chat(folder: Path, field: str) -> Chat:
    """The chat of the model in `folder`, which `field` names. Raises ConfigError if it is missing."""
    try:
        config = _config(folder)
        source = _template_source(folder, config)
        tokenizer = _tokenizer((folder / "tokenizer.json").read_bytes())
    except Exception as error:  # tokenizers raises nothing narrower
        raise ConfigError(
            f"{field}: the tokenizer.json or the chat template in '{folder}' cannot be read ({error}); "
            "fetch it again"
        ) from error
    if source is None:
        raise ConfigError(
            f"{field}: '{folder}' has no chat template; add its chat_template.jinja, or a "
            "tokenizer_config.json that has one"
        )
    return Chat(f"{field}: '{folder}'", tokenizer, source, _special_tokens(config))


def _config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json. In older folders another file adds to it."""
    config = _json(folder / "tokenizer_config.json")
    older = "added_tokens_decoder" not in config
    return {**config, **_json(folder / "special_tokens_map.json")} if older else config


def _json(file: Path) -> dict[str, Any]:
    return parsed_json(file.read_bytes()) if file.is_file() else {}


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

"""Renders a model's chat template: Jinja in the dialect of transformers, without its clock.

A template comes with a model's files, so it may loop without end or fill the memory. `chat` therefore calls
`rendered` in a worker process, with limits. Today is the family's `prompt_date`, or unknown.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from jinja2 import Template

# A longer prompt fits no model's context.
MOST_CHARACTERS = 10_000_000

Messages = Sequence[dict[str, str]]


def rendered(
    source: str, conversations: Sequence[Messages], variables: dict[str, Any], today: str | None
) -> dict[str, Any]:
    """{"texts": the prompt of each conversation}, or {"failed": why there are none}.

    today  YYYY-MM-DD, which the template may ask for; None: it may not
    """
    if today is not None:
        variables = {**variables, "strftime_now": datetime.fromisoformat(today).strftime}
    try:
        template = compiled(source)
        return {"texts": [_rendered(template, messages, variables) for messages in conversations]}
    except Exception as error:  # a template may raise anything
        return {"failed": str(error) or type(error).__name__}


def _rendered(template: "Template", messages: Messages, variables: dict[str, Any]) -> str:
    pieces = template.generate(
        messages=messages, tools=None, documents=None, add_generation_prompt=True, **variables
    )
    return "".join(_within_bounds(pieces))


def _within_bounds(pieces: Iterator[str]) -> Iterator[str]:
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > MOST_CHARACTERS:
            raise ValueError(f"it makes a prompt of more than {MOST_CHARACTERS:,} characters")
        yield piece


@lru_cache(maxsize=8)
def compiled(source: str) -> "Template":
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

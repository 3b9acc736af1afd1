"""Text to tokens, the same for every engine: the prompt, and the few tokens that steer decoding.

The driver has rendered the prompt (`raysweep.configuration.chat`). It is only encoded here.

A text ends at any end token that the checkpoint's files name. Fine-tunes often have two: the base model's
end of text, and the end of a turn of the chat.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from actors.engine import TraceRequest
from raysweep.spec import Decoding

NAMING_THE_END = ("generation_config.json", "config.json")  # files that may have `eos_token_id`


@dataclass(frozen=True)
class Vocabulary:
    """The few tokens that steer decoding, for one `Decoding`.

    think_close     closes the thinking
    end             each of these ends the text
    forced_closing  closes the thinking by force and opens the answer
    extension       replaces an early end of thinking; empty if an early end stands
    """

    think_close: int
    end: frozenset[int]
    forced_closing: tuple[int, ...]
    decode: Callable[[list[int]], str]
    extension: tuple[int, ...] = ()

    @property
    def opener(self) -> tuple[int, ...]:
        """The tokens after think_close in the forced closing."""
        return self.forced_closing[self.forced_closing.index(self.think_close) + 1 :]


def end_tokens(folder: Path, tokenizer: Any) -> frozenset[int]:
    """All tokens that end a text: those named by the checkpoint's configurations and by its tokenizer.

    Raises ValueError if there is none.
    """
    found = {tokenizer.eos_token_id}
    for file in (folder / name for name in NAMING_THE_END):
        named = json.loads(file.read_text()).get("eos_token_id") if file.exists() else None
        found |= set(named) if isinstance(named, list) else {named}
    if not (tokens := frozenset(found - {None})):
        raise ValueError(
            f"eos_token_id: neither {' nor '.join(NAMING_THE_END)} nor the tokenizer in {folder} names a "
            "token that ends a text; add eos_token_id to generation_config.json"
        )
    return tokens


class Texts:
    """The tokenizer of a checkpoint folder, and what engines ask of it."""

    def __init__(self, path: str, context: int):
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        self.end = end_tokens(Path(path), self.tokenizer)
        self.context = context
        self._encoded = lru_cache(maxsize=256)(self._encode)
        self._vocabularies: dict[Decoding, Vocabulary] = {}

    def encode_prompt(self, request: TraceRequest) -> tuple[int, ...]:
        """The tokens of a rendered prompt."""
        return self._encoded(request.prompt)

    def _encode(self, prompt: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(prompt, add_special_tokens=False))

    def vocabulary(self, decoding: Decoding) -> Vocabulary:
        """Raises ValueError unless think_close is one token, which the forced closing has once."""
        if decoding not in self._vocabularies:
            encode = self.tokenizer.encode
            closing = encode(decoding.forced_closing, add_special_tokens=False)
            close = encode(decoding.think_close, add_special_tokens=False)
            if len(close) != 1 or closing.count(close[0]) != 1:
                raise ValueError(
                    f"think_close: {decoding.think_close!r} is not a single token that occurs once in "
                    f"{decoding.forced_closing!r}; write the token that closes this model's thinking"
                )
            extension = tuple(encode(decoding.extension, add_special_tokens=False))
            self._vocabularies[decoding] = Vocabulary(
                close[0], self.end, tuple(closing), self.tokenizer.decode, extension
            )
        return self._vocabularies[decoding]

    def most_tokens(self, request: TraceRequest) -> int:
        """The most tokens that a sequence of this request can have."""
        closing = len(self.vocabulary(request.decoding).forced_closing)
        return request.decoding.sequence_tokens(len(self.encode_prompt(request)), closing)

    def check_room(self, request: TraceRequest) -> None:
        """Raise ValueError if a request does not fit into the context."""
        tokens = self.most_tokens(request)
        if tokens > self.context:
            raise ValueError(f"prompt, budget and answer take {tokens} of {self.context} tokens")

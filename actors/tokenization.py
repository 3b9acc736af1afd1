"""Text to tokens, the same for every engine: the prompt, and the few tokens that steer decoding.

The driver has rendered the prompt (`raysweep.configuration.chat`). It is only encoded here.

A text ends at any end token that the checkpoint's files name. Fine-tunes often have two: the base model's
end of text, and the end of a turn of the chat.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from actors.engine import TraceRequest
from actors.think_close import ThinkClose
from raysweep.spec import Decoding

NAMING_THE_END = ("generation_config.json", "config.json")  # files that may have `eos_token_id`


@dataclass(frozen=True)
class Vocabulary:
    """The few tokens that steer decoding, for one `Decoding`.

    close           what closes the thinking
    end             each of these ends the text
    forced_closing  closes the thinking by force and opens the answer
    decode          tokens to text, without special tokens
    extension       replaces an early end of thinking; empty if an early end stands
    """

    close: ThinkClose
    end: frozenset[int]
    forced_closing: tuple[int, ...]
    decode: Callable[[list[int]], str]
    extension: tuple[int, ...] = ()

    @cached_property
    def opener(self) -> tuple[int, ...]:
        """The tokens of the forced closing that open the answer; all of them if nothing closes thinking."""
        return self.forced_closing[self.close.first_end(self.forced_closing) or 0 :]

    def text_after(self, closing: Sequence[int], answer: Sequence[int]) -> str:
        """What a grader reads: the text after the close in `closing`, a forced or a model's own."""
        closed = self.close.first_end(closing) or 0
        rest = self.close.rest(closing[:closed]) if closed else ""
        return rest + self.decode([*closing[closed:], *answer])


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
        """Raises ValueError if the forced closing does not close the thinking, see `_close`."""
        if decoding not in self._vocabularies:
            closing = self._tokens(decoding.forced_closing)
            self._vocabularies[decoding] = Vocabulary(
                self._close(decoding, closing),
                self.end,
                closing,
                partial(self.tokenizer.decode, skip_special_tokens=True),
                self._tokens(decoding.extension),
            )
        return self._vocabularies[decoding]

    def _close(self, decoding: Decoding, forced_closing: tuple[int, ...]) -> ThinkClose:
        """What closes the thinking; the forced closing must have it once.

        Unless the end of the text closes the thinking too, it must be one token.
        """
        spell = partial(
            self.tokenizer.decode, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        close = self._tokens(decoding.think_close)
        single = close[0] if len(close) == 1 else None
        if single is not None:
            closed = forced_closing.count(single) == 1
        else:
            spelled = spell(list(forced_closing))
            closed = decoding.end_closes and spelled.count(decoding.think_close) == 1
        if not closed and (decoding.think_close or not decoding.end_closes):
            raise ValueError(
                f"think_close: {decoding.think_close!r} is not a single token that occurs once in "
                f"{decoding.forced_closing!r}; write the token that closes this model's thinking, or use "
                "the forcing 'direct'"
            )
        return ThinkClose(single, decoding.think_close, spell)

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def most_tokens(self, request: TraceRequest) -> int:
        """The most tokens that a sequence of this request can have."""
        closing = len(self.vocabulary(request.decoding).forced_closing)
        return request.decoding.sequence_tokens(len(self.encode_prompt(request)), closing)

    def check_room(self, request: TraceRequest) -> None:
        """Raise ValueError if a request does not fit into the context."""
        tokens = self.most_tokens(request)
        if tokens > self.context:
            raise ValueError(f"prompt, budget and answer take {tokens} of {self.context} tokens")

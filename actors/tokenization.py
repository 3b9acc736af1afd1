"""Text to tokens, the same for every engine: the prompt, and the few tokens that steer decoding."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from transformers import AutoTokenizer

from actors.engine import TraceRequest
from raysweep.spec import Decoding


@dataclass(frozen=True)
class Vocabulary:
    """The few tokens that steer decoding, for one way of decoding."""

    think_close: int
    end: frozenset[int]
    forced_closing: tuple[int, ...]
    decode: Callable[[list[int]], str]
    extension: tuple[int, ...] = ()

    @property
    def opener(self) -> tuple[int, ...]:
        """What follows think_close where thinking is closed by force."""
        return self.forced_closing[self.forced_closing.index(self.think_close) + 1 :]


def opened_prompt(tokenizer: Any, question: str, think_open: str) -> str:
    """The chat template's rendering of a question, with thinking opened."""
    messages = [{"role": "user", "content": question}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text if text.endswith(think_open) else text + think_open


class Texts:
    """The tokenizer of a checkpoint folder, and what engines ask of it."""

    def __init__(self, path: str, context: int):
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        self.context = context
        self._encoded = lru_cache(maxsize=256)(self._encode)
        self._vocabularies: dict[Decoding, Vocabulary] = {}

    def encode_prompt(self, request: TraceRequest) -> tuple[int, ...]:
        """The tokens of a question in the model's chat template, with thinking opened."""
        return self._encoded(request.prompt, request.decoding.think_open)

    def _encode(self, prompt: str, think_open: str) -> tuple[int, ...]:
        text = opened_prompt(self.tokenizer, prompt, think_open)
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def vocabulary(self, decoding: Decoding) -> Vocabulary:
        """Raises ValueError if think_close is not one token, also in the forced closing."""
        if decoding not in self._vocabularies:
            encode = self.tokenizer.encode
            closing = encode(decoding.forced_closing, add_special_tokens=False)
            close = encode(decoding.think_close, add_special_tokens=False)
            if len(close) != 1 or closing.count(close[0]) != 1:
                raise ValueError(
                    f"think_close {decoding.think_close!r} is not one token, or is none in "
                    f"{decoding.forced_closing!r}"
                )
            end = frozenset({self.tokenizer.eos_token_id})
            extension = tuple(encode(decoding.extension, add_special_tokens=False))
            self._vocabularies[decoding] = Vocabulary(
                close[0], end, tuple(closing), self.tokenizer.decode, extension
            )
        return self._vocabularies[decoding]

    def most_tokens(self, request: TraceRequest) -> int:
        """The tokens that a sequence of this request can come to see."""
        closing = len(self.vocabulary(request.decoding).forced_closing)
        return request.decoding.sequence_tokens(len(self.encode_prompt(request)), closing)

    def check_room(self, request: TraceRequest) -> None:
        """Raise ValueError if the context has no room for a request."""
        tokens = self.most_tokens(request)
        if tokens > self.context:
            raise ValueError(f"prompt, budget and answer take {tokens} of {self.context} tokens")

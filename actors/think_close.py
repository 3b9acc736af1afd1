"""What closes the thinking: one token, a text of several tokens, or nothing.

A model without a token for it may write the closing text in any tokens, and its first and last token may
hold letters around it. So the text is looked for in the decoded thoughts. The token that completes it closes
the thinking, and the closing is the fewest last tokens that hold it. Every engine applies this rule to the
tokens that it has drawn, so they agree.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ThinkClose:
    """What closes the thinking.

    token  the token that closes it; None if no single token does
    text   without such a token, the text that closes it; "": the thinking ends with the model's text only
    spell  tokens to text, special tokens included
    """

    token: int | None
    text: str
    spell: Callable[[list[int]], str]

    @property
    def stop_tokens(self) -> frozenset[int]:
        return frozenset() if self.token is None else frozenset({self.token})

    @property
    def stop_text(self) -> str:
        """The text to stop at where no token says it all."""
        return self.text if self.token is None else ""

    @property
    def _most_tokens(self) -> int:
        """The most tokens of a closing: one per byte, and one whose leading space a tokenizer may drop."""
        return len(self.stop_text.encode()) + 1

    def length(self, thoughts: Sequence[int]) -> int:
        """The number of last thoughts that are the closing; 0 while thinking goes on."""
        if not self.stop_text:
            return int(len(thoughts) > 0 and thoughts[-1] == self.token)
        last = list(thoughts[-self._most_tokens :])
        if self.text not in self.spell(last):
            return 0
        lengths = range(1, len(last) + 1)
        return next(n for n in lengths if self.text in self.spell(last[-n:]))

    def first_end(self, tokens: Sequence[int], start: int = 0) -> int | None:
        """The number of tokens, more than `start`, with which a closing is complete for the first time."""
        ends, most = range(start + 1, len(tokens) + 1), self._most_tokens
        return next((n for n in ends if self.length(tokens[max(0, n - most) : n])), None)

    def rest(self, closing: Sequence[int]) -> str:
        """What the last token of a closing says beyond it."""
        return self.spell(list(closing)).split(self.text, 1)[1] if self.stop_text else ""

"""A trace's thinking as text, cut where token budgets cut it.

Texts come from models and may hold anything. Control characters, also those that reverse or hide text, are
replaced by visible escapes here, before any text is written or printed.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from raysweep.reporting.trace_samples import Sample
from raysweep.system.safe_text import printable

# From token ids to text.
Decode = Callable[[Sequence[int]], str]


def safe(text: str) -> str:
    """The text with escapes in place of control characters; line ends and tabs stay."""
    # Nearly all lines are printable as they are, which is quickly seen.
    return "\n".join(printable(line, lines=True) for line in text.split("\n"))


def cuts(sample: Sample) -> list[int]:
    """The numbers of thinking tokens after which an answer was asked for, fewest first."""
    return sorted({answer.thinking_tokens for answer in sample.answers})


def pieces(sample: Sample, decode: Decode) -> list[str]:
    """The thinking between its cuts: one text for each of `cuts`, each safe to show.

    Raises ValueError if the tokens are none of the tokenizer's.
    """
    tokens, ends = sample.thinking, cuts(sample)
    try:
        return [safe(text) for text in _parted(tokens, ends, decode)]
    except (OverflowError, TypeError) as error:
        raise ValueError("the tokenizer does not know its tokens") from error


def _parted(tokens: Sequence[int], ends: Sequence[int], decode: Decode) -> list[str]:
    whole = decode(tokens)
    parts = [decode(tokens[start:end]) for start, end in pairwise([0, *ends])]
    if "".join(parts) == whole:
        return parts
    # A cut inside of a character of several tokens, or a tokenizer that drops a space at the start.
    places = [_shared(decode(tokens[:end]), whole) for end in ends[:-1]]
    rising = [max(places[: n + 1]) for n in range(len(places))]
    return [whole[start:end] for start, end in pairwise([0, *rising, len(whole)])]


def _shared(prefix: str, whole: str) -> int:
    """The number of characters with which both begin."""
    if whole.startswith(prefix):
        return len(prefix)
    return next(
        (n for n, (a, b) in enumerate(zip(prefix, whole, strict=False)) if a != b), len(whole)
    )

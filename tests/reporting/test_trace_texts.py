"""A trace as text: cut exactly where budgets cut its tokens, and safe to show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel, Metaspace
from tokenizers.models import BPE

from raysweep.reporting.trace_samples import Answer, Sample
from raysweep.reporting.trace_texts import cuts, pieces, safe


def a_sample(tokens: list[int], *budgets: int) -> Sample:
    answers = tuple(Answer(n, n, True, True, None, "wrong", "") for n in budgets)
    return Sample(0, "budget", len(tokens), 0, answers, tuple(tokens))


def bytes_tokenizer() -> Tokenizer:
    """A token for each byte, as the tokenizers of large models fall back to."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    letters = {**{b: chr(b) for b in shown}, **{b: chr(256 + n) for n, b in enumerate(others)}}
    tokenizer = Tokenizer(BPE({letters[byte]: byte for byte in range(256)}, merges=[]))
    tokenizer.decoder = ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    return tokenizer


BYTES = bytes_tokenizer()


def decode(tokens) -> str:
    return BYTES.decode(list(tokens), skip_special_tokens=False)


@given(st.text(min_size=1), st.sets(st.integers(1, 40), min_size=1))
def test_the_pieces_are_the_whole_thinking(text: str, budgets: set[int]):
    tokens = list(text.encode("utf-8", "replace"))
    ends = sorted(min(budget, len(tokens)) for budget in budgets)
    sample = a_sample(tokens, *ends)
    assert len(pieces(sample, decode)) == len(cuts(sample))
    # A last character that is cut in two is the decoder's replacement for it.
    assert "".join(pieces(sample, decode)) == safe(decode(tokens[: ends[-1]]))


def test_a_cut_inside_of_a_character_leaves_it_whole_behind_the_cut():
    tokens = list("a€b".encode())
    assert pieces(a_sample(tokens, 2, 5), decode) == ["a", "€b"]
    assert pieces(a_sample(tokens, 1, 4, 5), decode) == ["a", "€", "b"]


def test_a_tokenizer_that_drops_the_first_space_drops_it_once():
    tokenizer = Tokenizer(BPE({"▁one": 0, "▁two": 1}, merges=[]))
    tokenizer.decoder = Metaspace()  # pyright: ignore[reportAttributeAccessIssue]
    found = pieces(a_sample([0, 1, 1], 1, 3), lambda tokens: tokenizer.decode(list(tokens)))
    assert found == ["one", " two two"]


def test_tokens_that_are_none_are_refused():
    with pytest.raises(ValueError):
        pieces(a_sample([-1], 1), decode)


def test_control_characters_are_shown_and_lines_stay():
    assert safe("a\n\tb\x1b[2J\u202ec\r\n") == "a\n\tb\\x1b[2J\\u202ec\\r\n"
    assert safe("Käse – 測試\nzwei\u200b") == "Käse – 測試\nzwei\\u200b"

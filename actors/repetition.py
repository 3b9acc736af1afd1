"""Endless repetition: thinking whose last tokens repeat one piece.

It is looked for only at every CHECK_TOKENS-th token of thinking. So the result depends on the tokens alone,
neither on the engine nor on the budgets.
"""

from collections.abc import Sequence

CHECK_TOKENS = 32  # thinking tokens between two checks
REPEATS = 3  # how often a piece must fit into the window to count as a loop


def is_loop(thoughts: Sequence[int], window: int) -> bool:
    """Whether the last `window` tokens repeat a piece of at most a third of them; never for window 0."""
    if not window or len(thoughts) < window:
        return False
    return smallest_period(thoughts[-window:]) <= window // REPEATS


def loop_end(thoughts: Sequence[int], window: int) -> int | None:
    """The number of thoughts after which a loop is first found; None if there is none."""
    for end in range(CHECK_TOKENS, len(thoughts) + 1, CHECK_TOKENS):
        if is_loop(thoughts[max(0, end - window) : end], window):
            return end
    return None


def smallest_period(tokens: Sequence[int]) -> int:
    """The least p > 0 such that tokens[i] = tokens[i + p] throughout (Knuth, Morris, Pratt 1977)."""
    borders = [
        0
    ]  # for each prefix, the length of its longest proper prefix that is also its suffix
    for token in tokens[1:]:
        border = borders[-1]
        while border and tokens[border] != token:
            border = borders[border - 1]
        borders.append(border + (tokens[border] == token))
    return len(tokens) - borders[-1]
